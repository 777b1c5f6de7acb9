package cgroup

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// pinName is the file in the room on which a cgroup namespace is mounted.
const pinName = "cgroup"

// pins returns the paths of that file.
func pins() (paths []string) {
	for _, room := range rooms {
		paths = append(paths, room+"/"+pinName)
	}
	return paths
}

// pin mounts this process's cgroup namespace on a file in the first room that can be
// used. A mount in a room on a shared mount would appear in all its peers, and the host
// may have one (mount_namespaces(7)).
func (a *application) pin(shared []string) (err error) {
	for i, path := range rooms {
		var failed error = &Error{Op: "mount", Path: path + "/" + pinName, Data: "on a shared mount", Err: unix.EXDEV}
		if !slices.Contains(shared, path) {
			failed = a.pinInRoom(path)
		}
		if failed == nil {
			return nil
		}
		if i == 0 {
			err = failed
		}
	}
	return err
}

func (a *application) pinInRoom(path string) error {
	room, err := a.k.openRoom(path, true)
	if err != nil {
		return err
	}
	a.descriptors = append(a.descriptors, room)
	return a.pinIn(room, path+"/"+pinName)
}

// pinIn reaches the file by its descriptor, because a path may lead elsewhere from one
// call to the next.
func (a *application) pinIn(room int, path string) error {
	a.k.unpin(room) // the mount of a killed run, which the new mount would only cover
	file, err := a.k.openat(room, pinName, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	switch err {
	case nil:
		a.onFailure(func() error { return a.unlinkPin(room, path) })
	case unix.EEXIST:
		file, err = a.k.openat(room, pinName, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return &Error{Op: "create", Path: path, Err: err}
	}
	defer a.k.close(file)
	if err := a.k.own(file, path, unix.S_IFREG, unix.S_IFMT); err != nil {
		return err
	}
	if err := a.k.mount(ownNamespace, descriptor(file), "", unix.MS_BIND, ""); err != nil {
		return &Error{Op: "mount", Path: path, Data: "bind", Err: err}
	}
	a.onFailure(func() error { a.k.unpin(room); return nil })
	return nil
}

func (a *application) unlinkPin(room int, path string) error {
	if err := a.k.unlinkat(room, pinName, 0); err != nil {
		return &Error{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

// descriptor returns a path of an open file.
func descriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// unpin removes the mounts of pinIn from a room.
func (k *kernel) unpin(room int) {
	const most = 8
	for range most {
		fd, err := k.openat(room, pinName, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return
		}
		removed := k.isNamespace(fd) && k.umount(descriptor(fd), unix.MNT_DETACH) == nil
		k.close(fd)
		if !removed {
			return
		}
	}
}

// isNamespace reports whether an open file is a namespace. It takes a mount to put
// a namespace into the room, and so CAP_SYS_ADMIN over this mount namespace.
func (k *kernel) isNamespace(fd int) bool {
	var fs unix.Statfs_t
	return k.fstatfs(fd, &fs) == nil && int64(fs.Type) == unix.NSFS_MAGIC
}

// openPin opens the namespace that a run has kept.
func (k *kernel) openPin(path string) (fd int, err error) {
	room, err := k.openRoom(path[:len(path)-len("/"+pinName)], false)
	if err != nil {
		return -1, err
	}
	defer k.close(room)
	fd, err = k.openat(room, pinName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	if !k.isNamespace(fd) {
		k.close(fd)
		return -1, &Error{Op: "open", Path: path, Data: "no namespace is mounted there", Err: unix.ENOENT}
	}
	return fd, nil
}
