package cgroup

import (
	"time"

	"golang.org/x/sys/unix"
)

// Undo takes back what a run of [Delegate] has left that was killed, so that the container
// can go on without a delegation. It disables the controllers, moves the processes of the
// leaf back, makes a mount read-only again that the run has noted, and removes the leaf and
// what the run has stored. If the run had begun to attach the new mount, Undo attaches it to
// the end, because nothing can bring the old mount back. If the cgroup is delegated, or
// nothing was begun, Undo changes nothing.
//
// Call it on the main thread (see [ErrThread]), in the cgroup namespace that the killed run
// has made for this process. If that fails, return to the namespace before and call it
// again: before Linux 6.5, the new namespace may hide what has to be removed. Undo does not
// leave the namespace. Afterwards the state that [Decide] finds says whether the cgroup is delegated.
func Undo(o Options) error {
	if err := lockMainThread(); err != nil {
		return err
	}
	return linux.undo(o)
}

func (k *kernel) undo(o Options) error {
	o = o.withDefaults()
	o.Anywhere = true
	unlock, _, err := k.lock(time.Now().Add(o.Timeout), o.Interrupted)
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
	return a.forget()
}

// empty empties and removes the leaf. If nothing was moved, the leaf is empty, or the
// processes in it are another program's.
func (a *application) empty(f *Facts, where place) (err error) {
	var leaf unix.Stat_t
	if where.group != nil && f.Kept == nil && a.k.stat(where.group.Path+"/"+where.leaf, &leaf) == unix.ENOENT {
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
	n, ok := a.k.readNote(descriptor(a.base) + "/.")
	ok = ok && n.mountNS == f.MountNS
	if ok {
		if where.group == nil && n.holder != 0 {
			return &Error{Op: "getxattr", Path: mountPoint, Data: "the new mount was being placed", Err: unix.EXDEV}
		}
		if !where.begun { // the new namespace may hide the ID that the leaf is called by
			where.leaf = n.leaf
		}
	}
	if err := a.vacate(where); err != nil {
		return err
	}
	for _, name := range noteNames {
		if err := a.removeNote(name); err != nil && !is(err, unix.EOPNOTSUPP, unix.EPERM) {
			return err
		}
	}
	if ok && f.Mount != nil && f.Mount.ID == n.readOnly {
		return writableStep{f.Mount.Options}.restore(a)
	}
	return nil
}

func (a *application) vacate(where place) error {
	if !where.begun {
		if a.k.unlinkat(a.base, where.leaf, unix.AT_REMOVEDIR) == nil {
			a.removeSibling(where.leaf)
		}
		return nil
	}
	if err := a.disable(); err != nil {
		return err
	}
	if err := a.moveBack(where.leaf, nil); err != nil {
		return err
	}
	if err := a.removeLeaf(where.leaf); err != nil {
		return err
	}
	a.removeSibling(where.leaf)
	return nil
}

// removeSibling removes the cgroup beside the leaf, if it is empty.
func (a *application) removeSibling(leaf string) {
	_ = a.k.unlinkat(a.base, siblingOf(leaf), unix.AT_REMOVEDIR)
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

// forget removes the namespace that the run has kept.
func (a *application) forget() error {
	for _, path := range rooms {
		room, err := a.k.openRoom(path, false)
		if err != nil {
			continue // nothing of cgshim's
		}
		a.descriptors = append(a.descriptors, room)
		a.k.unpin(room)
		if err := a.unlinkPin(room, path+"/"+pinName); err != nil && !is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}
