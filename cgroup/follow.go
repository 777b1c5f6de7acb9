package cgroup

import (
	"golang.org/x/sys/unix"
)

// Follower keeps the leaf's copy of the container's limits true while the program runs,
// and memory.oom.group at what [Options] ask for. The container is resized in place by
// a write from the host, and kubelet sets memory.oom.group anew with it; inotify(7)
// tells of a write through any mount of the hierarchy, for a cgroup's file has one
// inode. Nothing wakes up in between.
//
// A nil Follower has nothing to follow: FD is -1 and Update does nothing.
type Follower struct {
	notify int
	id     uint64 // the container's cgroup
	point  []byte // where that is mounted
	group  []byte // for memory.oom.group, nil: not ours to set
	mirror *mirror

	statx  unix.Statx_t
	value  [8]byte
	events [4096]byte
}

var oomGroupName = terminated(oomGroupFile)

// Follow begins to follow what the plan of r asks for; it is called before the program
// starts. Without anything to follow the Follower is nil.
func (r *Report) Follow() (*Follower, error) {
	if r.Plan == nil || r.Plan.Refusal != nil {
		return nil, nil
	}
	return newFollower(mountPoint, r.ID, r.Plan.leaf, r.Plan.Options)
}

func newFollower(point string, id uint64, leaf string, o Options) (*Follower, error) {
	f := &Follower{notify: -1, id: id, point: terminated(point), mirror: newMirror(o.Mirror, leaf)}
	files := o.Mirror.files()
	if o.OOMGroup != "" {
		f.group = []byte(o.OOMGroup)
		files = append(subtract(files, []string{oomGroupFile}), oomGroupFile)
	}
	if len(files) == 0 {
		return nil, nil
	}
	base, errno := f.open()
	if errno != 0 {
		return nil, &Error{"statx", point, "", errno}
	}
	rawClose(base)
	notify, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, &Error{"inotify_init1", "", "", err}
	}
	f.notify = notify
	watched := false
	for _, name := range files {
		_, err := unix.InotifyAddWatch(notify, point+"/"+name, unix.IN_MODIFY)
		if err != nil && err != unix.ENOENT { // the container has no such controller
			rawClose(notify)
			return nil, &Error{"inotify_add_watch", point + "/" + name, "", err}
		}
		watched = watched || err == nil
	}
	if !watched {
		rawClose(notify)
		return nil, nil
	}
	f.copy() // what has changed before the watch
	return f, nil
}

// FD is the inotify descriptor. It does not block, and is readable when there is
// something for Update to do.
func (f *Follower) FD() int {
	if f == nil {
		return -1
	}
	return f.notify
}

// Update takes all events from the descriptor and copies what has changed. It allocates
// nothing, needs nothing of Go's runtime and keeps nothing open, for a descriptor in the
// hierarchy would pin its mount. What fails is left as it is.
func (f *Follower) Update() {
	if f == nil {
		return
	}
	// All of them, and before the files are read: an event like the last one in the
	// queue is merged with that (inotify(7)) and would not be told.
	for {
		if n, errno := rawRead(f.notify, f.events[:]); errno != 0 || n == 0 {
			break
		}
	}
	f.copy()
}

func (f *Follower) copy() {
	base, errno := f.open()
	if errno != 0 {
		return
	}
	f.keepOOMGroup(base)
	f.mirror.copy(base)
	rawClose(base)
}

// open opens the container's cgroup. Another one may be mounted there meanwhile.
func (f *Follower) open() (base int, errno unix.Errno) {
	base, errno = rawOpenDir(unix.AT_FDCWD, &f.point[0])
	if errno != 0 {
		return -1, errno
	}
	id, errno := rawInode(base, &f.statx)
	if errno == 0 && id != f.id {
		errno = unix.ESTALE
	}
	if errno != 0 {
		rawClose(base)
		return -1, errno
	}
	return base, 0
}

// keepOOMGroup compares first: its own write is an event as well.
func (f *Follower) keepOOMGroup(base int) {
	if f.group == nil {
		return
	}
	n, errno := rawReadFile(base, &oomGroupName[0], f.value[:])
	if errno == 0 && string(trimmed(f.value[:n])) != string(f.group) {
		rawWriteFile(base, &oomGroupName[0], f.group, 0)
	}
}
