package cgroup

import (
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Undo takes back what a run of [Delegate] has left that was killed, so that the container
// can go on without a delegation. It disables the controllers, moves the processes of the
// leaf back, and removes the leaf and what the run has stored. If the run had begun to
// attach the new mount, Undo attaches it to the end, because nothing can bring the old mount
// back. If the cgroup is delegated, or nothing was begun, Undo changes nothing.
//
// Call it on the main thread (see [ErrThread]), in the cgroup namespace that the killed run
// has made for this process, or in the namespace before. Undo does not leave the namespace.
// Afterwards the state that [Decide] finds says whether the cgroup is delegated.
func Undo(o Options) error {
	if err := lockMainThread(); err != nil {
		return err
	}
	return linux.undo(o)
}

func (k *kernel) undo(o Options) error {
	o = o.withDefaults()
	o.Anywhere = true
	unlock, err := k.lock(time.Now().Add(o.Timeout), o.Interrupted)
	if err != nil {
		return err
	}
	defer unlock()
	for {
		f := k.observe("self")
		p := Decide(f, o)
		if p.again {
			if _, err := p.apply(k); err != nil {
				return err
			}
			continue
		}
		if f.exclude(o) != nil || p.State == Delegated {
			return nil
		}
		a := &application{k: k, plan: p, base: -1, mount: -1, leaf: -1}
		defer a.close()
		return a.takeBack(f)
	}
}

// takeBack takes back a delegation whose new mount is not in place.
func (a *application) takeBack(f *Facts) error {
	where := f.container(a.plan.Options.Leaf)
	if f.placed(where) {
		return a.uncover() // this is the step that was missing
	}
	if err := a.empty(f, where); err != nil {
		return err
	}
	if f.Under.between() { // mountOver had mounted both, and this process works in the upper one
		for range 2 {
			if err := a.detach(); err != nil {
				return err
			}
		}
	}
	return a.forget(f)
}

// empty empties and removes the leaf. If nothing was moved, the leaf is empty, or the
// processes in it are another program's.
func (a *application) empty(f *Facts, where place) (err error) {
	var leaf unix.Stat_t
	if where.group != nil && a.k.stat(where.group.Path+"/"+where.leaf, &leaf) == unix.ENOENT {
		return nil
	}
	if err := a.reach(f, where); err != nil {
		return err
	}
	defer func() {
		if left := a.rollBack(); err == nil {
			err = left
		}
	}()
	if !where.begun {
		_ = a.k.unlinkat(a.base, where.leaf, unix.AT_REMOVEDIR)
		return nil
	}
	if err := a.disable(); err != nil {
		return err
	}
	if err := a.moveBack(where.leaf, nil); err != nil {
		return err
	}
	return a.removeLeaf(where.leaf)
}

// reach opens the container's cgroup for writing.
func (a *application) reach(f *Facts, where place) (err error) {
	switch {
	case where.group == nil:
		return buildStep{place: placeStep{isolate: f.Mount != nil && !f.Mount.private()}}.do(a)
	case f.Mount.readOnly():
		s := writableStep{options: f.Mount.Options}
		if err := s.remount(a, "rw", 0); err != nil {
			return err
		}
		a.onFailure(func() error { return s.restore(a) })
	}
	a.base, err = a.openDir(unix.AT_FDCWD, where.group.Path)
	return err
}

// forget removes what the run has stored, and makes its mount read-only again.
func (a *application) forget(f *Facts) error {
	id, _ := a.k.readFile(unix.AT_FDCWD, keptReadOnly)
	if f.Mount != nil && id == strconv.Itoa(f.Mount.ID) {
		if err := (writableStep{options: f.Mount.Options}).restore(a); err != nil {
			return err
		}
	}
	_ = a.k.umount(keptNamespace, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) // it may be no mount
	for _, name := range []string{keptNamespace, keptCgroup, keptHolder, keptReadOnly} {
		if err := a.unlink(name); err != nil {
			return err
		}
	}
	_ = a.k.unlinkat(unix.AT_FDCWD, keptDir, unix.AT_REMOVEDIR) // others may have files there
	return nil
}
