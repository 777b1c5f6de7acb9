package cgroup

import (
	"errors"

	"golang.org/x/sys/unix"
)

// The host resizes a container in place by a write to the container's limits. kubelet
// then also writes memory.oom.group anew. inotify(7) reports a write through any mount of
// the hierarchy, because a cgroup file has the same inode in all mounts. Between two
// writes nothing wakes a process up.
//
// A program follows the limits in one of two ways. A [Follower] has an inotify
// descriptor of its own. A program that cannot read or copy anything itself watches the
// files of [Report.Watch] and lets another process call [Resize].

// Mirrored returns what was copied into the leaf so far. It is zero if the plan of r asks
// for no copies.
func (r *Report) Mirrored() Mirrored {
	if r.Plan == nil || r.Plan.Refusal != nil {
		return Mirrored{}
	}
	m := newMirrored(r.Plan.Options.Mirror, r.Plan.leaf, linux.recursive())
	if r.copied.leaf == m.leaf {
		m = r.copied.clone()
	}
	m.id, m.oomGroup = r.ID, r.Plan.Options.OOMGroup
	if m.nothing() {
		return Mirrored{}
	}
	return m
}

// Watch returns the paths of the files whose change (IN_MODIFY of inotify(7)) asks for a
// call of [Resize]. It returns none if there is nothing to follow. Call Resize once when
// the files are watched, because a file may have changed before.
//
// Read all events from the inotify descriptor before the files. inotify merges a new
// event with the last event in the queue if both are equal (inotify(7)). If an event
// stayed in the queue, a change after the copy would not be reported.
func (r *Report) Watch() []string { return linux.watch(mountPoint, r.Mirrored()) }

func (k *kernel) watch(point string, m Mirrored) (paths []string) {
	for _, name := range m.watched() {
		path := point + "/" + name
		var s unix.Stat_t
		if k.lstat(path, &s) == nil { // the container may have no such controller
			paths = append(paths, path)
		}
	}
	return paths
}

// Resize copies the limits that changed in the container into the leaf, and keeps
// memory.oom.group at the value that [Options] asked for. It keeps no descriptor open,
// because a descriptor in the hierarchy would pin its mount. next is the state for the
// next call, also after an error.
//
// again reports that a limit could not be copied yet. Call Resize again after a pause,
// although no event will come. That is so if the leaf still uses more memory than the new
// memory.max. In this case there is no error.
func Resize(m Mirrored) (next Mirrored, again bool, err error) { return linux.resize(mountPoint, m) }

func (k *kernel) resize(point string, m Mirrored) (next Mirrored, again bool, err error) {
	if m.nothing() {
		return m, false, nil
	}
	base, err := k.openContainer(point, m.id)
	if err != nil {
		return m, transient(err), err
	}
	defer k.close(base)
	kept := k.keepOOMGroup(base, m.oomGroup)
	next, again, errs := k.copyLimits(base, m)
	if kept != nil {
		again = again || transient(kept)
		errs = append(errs, kept)
	}
	return next, again, errors.Join(errs...)
}

// openContainer opens the container's cgroup. It fails if another cgroup has been mounted
// at the same place meanwhile.
func (k *kernel) openContainer(point string, id uint64) (base int, err error) {
	base, err = k.openDir(unix.AT_FDCWD, point)
	if err != nil {
		return -1, err
	}
	var s unix.Stat_t
	if err = k.fstat(base, &s); err == nil && s.Ino != id {
		err = unix.ESTALE
	}
	if err != nil {
		k.close(base)
		return -1, &Error{Op: "fstat", Path: point, Err: err}
	}
	return base, nil
}

// keepOOMGroup writes the value only if the file has another value, because its own
// write causes an event too.
func (k *kernel) keepOOMGroup(base int, value string) error {
	if value == "" {
		return nil
	}
	now, err := k.value(base, oomGroupFile)
	if is(err, unix.ENOENT) || now == value { // ENOENT: no memory controller
		return nil
	}
	if err != nil {
		return err
	}
	return k.writeFile(base, oomGroupFile, value)
}

// Follower follows the container's limits while the program runs.
//
// A nil Follower follows nothing. Its FD is -1, and its Update does nothing.
type Follower struct {
	kernel   *kernel
	point    string
	notify   int
	mirrored Mirrored
}

// Follow starts to follow the limits that the plan of r asks for. Call it before the
// program starts. It returns nil if there is nothing to follow. If a limit could not be
// copied yet, Update tries again.
func (r *Report) Follow() (*Follower, error) { return linux.follow(mountPoint, r.Mirrored()) }

func (k *kernel) follow(point string, m Mirrored) (*Follower, error) {
	paths := k.watch(point, m)
	if len(paths) == 0 {
		return nil, nil
	}
	notify, err := k.inotifyInit(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, &Error{Op: "inotify_init1", Err: err}
	}
	f := &Follower{kernel: k, point: point, notify: notify, mirrored: m}
	for _, path := range paths {
		if _, err := k.inotifyAddWatch(notify, path, unix.IN_MODIFY); err != nil {
			k.close(notify)
			return nil, &Error{Op: "inotify_add_watch", Path: path, Err: err}
		}
	}
	// Copy the changes from before the watch.
	if _, err := f.Update(); is(err, unix.ESTALE) {
		k.close(notify)
		return nil, err
	}
	return f, nil
}

// FD returns the inotify descriptor. It does not block. When it is readable, call
// Update.
func (f *Follower) FD() int {
	if f == nil {
		return -1
	}
	return f.notify
}

// Update reads all events from the descriptor and copies the limits that changed. Its
// results are those of [Resize].
func (f *Follower) Update() (again bool, err error) {
	if f == nil {
		return false, nil
	}
	var events [4096]byte
	for {
		if n, err := f.kernel.read(f.notify, events[:]); n <= 0 && err != unix.EINTR {
			break
		}
	}
	f.mirrored, again, err = f.kernel.resize(f.point, f.mirrored)
	return again, err
}
