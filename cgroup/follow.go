package cgroup

import (
	"golang.org/x/sys/unix"
)

// Follower copies the container's limits into the leaf while the program runs, and
// keeps memory.oom.group at the value that [Options] ask for. The host resizes a
// container in place by a write to the container's limits. kubelet then also writes
// memory.oom.group anew. inotify(7) reports a write through any mount of the hierarchy,
// because a cgroup file has the same inode in all mounts. Between two writes nothing
// wakes this process up.
//
// A nil Follower follows nothing. Its FD is -1, and its Update does nothing.
type Follower struct {
	notify int
	id     uint64 // the container's cgroup
	point  []byte // mount point of that cgroup
	group  []byte // value for memory.oom.group, or nil to leave the file alone
	mirror *mirror

	statx  unix.Statx_t
	value  [8]byte
	events [4096]byte
}

var oomGroupName = terminated(oomGroupFile)

// Follow starts to follow the limits that the plan of r asks for. Call it before the
// program starts. It returns nil if there is nothing to follow.
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
	f.copy() // copies the changes from before the watch
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

// Update reads all events from the descriptor and copies the limits that changed. It
// allocates nothing and needs nothing of Go's runtime. It keeps no descriptor open,
// because a descriptor in the hierarchy would pin its mount. A limit that cannot be
// copied stays as it is.
func (f *Follower) Update() {
	if f == nil {
		return
	}
	// Read all events before the files. inotify merges a new event with the last event
	// in the queue if both are equal (inotify(7)). If an event stayed in the queue, a
	// change after the copy would not be reported.
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

// open opens the container's cgroup. It fails if another cgroup has been mounted at the
// same place meanwhile.
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

// keepOOMGroup writes the value only if the file has another value, because its own
// write causes an event too.
func (f *Follower) keepOOMGroup(base int) {
	if f.group == nil {
		return
	}
	n, errno := rawReadFile(base, &oomGroupName[0], f.value[:])
	if errno == 0 && string(trimmed(f.value[:n])) != string(f.group) {
		rawWriteFile(base, &oomGroupName[0], f.group, 0)
	}
}
