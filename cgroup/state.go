package cgroup

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a run of cgshim leaves for later runs has two parts.
//
// Notes about the container's cgroup are an extended attribute of its directory. A process
// that may write the attribute may change the cgroup itself, so a note says nothing that
// its writer could not do. A file in /run would not do. A pod's volume may be mounted there,
// and root in another container of the pod has the same user ID as root in this one. A
// note also ends with its cgroup.
//
// The lock and the mount that keeps a cgroup namespace are in a directory, the room. They
// hold no data that is read. Other users may write to the directory above the room, and
// put anything in its place.

// rooms are the places for the room. The second serves where /run is read-only, or where
// the name is taken.
var rooms = []string{"/run/cgshim", "/dev/shm/cgshim"}

// openRoom opens the room at path. With create it makes the room before. It accepts only a
// directory that belongs to this user and that no other user may enter.
func (k *kernel) openRoom(path string, create bool) (fd int, err error) {
	slash := strings.LastIndexByte(path, '/')
	above, err := k.openat(unix.AT_FDCWD, path[:slash], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: path[:slash], Err: err}
	}
	defer k.close(above)
	name := path[slash+1:]
	if create {
		if err := k.mkdirat(above, name, 0o700); is(err, unix.EROFS, unix.EACCES, unix.ENOSPC, unix.EDQUOT) {
			return -1, &Error{Op: "mkdir", Path: path, Err: err}
		}
	}
	fd, err = k.openat(above, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: path, Err: err}
	}
	// A directory with the set-group-ID bit gives the bit to the directories in it, as
	// the volumes of a pod with an fsGroup do (inode(7)).
	if err := k.own(fd, path, unix.S_IFDIR|0o700, unix.S_IFMT|0o777); err != nil {
		k.close(fd)
		return -1, err
	}
	return fd, nil
}

// own checks that an open file belongs to this user, and that its mode is as wanted in
// the bits of mask.
func (k *kernel) own(fd int, path string, mode, mask uint32) error {
	var s unix.Stat_t
	if err := k.fstat(fd, &s); err != nil {
		return &Error{Op: "fstat", Path: path, Err: err}
	}
	if s.Mode&mask != mode || int(s.Uid) != k.geteuid() {
		return &Error{Op: "fstat", Path: path, Data: "owner " + strconv.Itoa(int(s.Uid)) + " mode " + strconv.FormatUint(uint64(s.Mode), 8), Err: unix.EPERM}
	}
	return nil
}

// foreignRoom reports whether a room could not be used because something else is in its
// place. Otherwise the place is missing, or this process may not write there.
func foreignRoom(err error) bool {
	e := asError(err)
	return e != nil && (e.Op == "fstat" || e.Op == "open" && !is(err, unix.ENOENT))
}

// foreignRooms returns an error for each place that cannot be used because something else
// is there.
func (k *kernel) foreignRooms() (errs []error) {
	for _, path := range rooms {
		fd, err := k.openRoom(path, false)
		switch {
		case err == nil:
			k.close(fd)
		case foreignRoom(err):
			errs = append(errs, err)
		}
	}
	return errs
}

// noteNames are the names of the attribute. A cgroup has user attributes since Linux 5.7
// (commit 38aca3071c49). Before that it has trusted attributes, which take CAP_SYS_ADMIN
// on the host (xattr(7)).
var noteNames = []string{"user.cgshim", "trusted.cgshim"}

// note is what a run knows of the container's cgroup. It counts only for processes with
// the same mounts, because an inner container may have its cgroup below the leaf.
type note struct {
	mountNS  uint64
	holder   int // see Kept
	readOnly int // ID of the mount that writableStep has made writable, or 0
	leaf     string
}

func (n note) String() string {
	return strconv.FormatUint(n.mountNS, 10) + " " + strconv.Itoa(n.holder) + " " + strconv.Itoa(n.readOnly) + " " + n.leaf
}

func parseNote(s string) (n note, ok bool) {
	fields := strings.SplitN(s, " ", 4)
	if len(fields) < 4 || fields[3] == "" {
		return note{}, false
	}
	var err1, err2, err3 error
	n.mountNS, err1 = strconv.ParseUint(fields[0], 10, 64)
	n.holder, err2 = strconv.Atoi(fields[1])
	n.readOnly, err3 = strconv.Atoi(fields[2])
	n.leaf = fields[3]
	return n, err1 == nil && err2 == nil && err3 == nil
}

// readNote reads the note of the cgroup in a directory.
func (k *kernel) readNote(dir string) (n note, ok bool) {
	var text [512]byte
	for _, name := range noteNames {
		if size, err := k.getxattr(dir, name, text[:]); err == nil {
			return parseNote(string(text[:size]))
		}
	}
	return note{}, false
}

// writeNote writes the note of the container's cgroup. The note is removed again if the
// set-up fails.
func (a *application) writeNote(holder int) error {
	text := note{a.plan.mountNS, holder, a.plan.readOnly, a.plan.leaf}.String()
	dir, err := a.k.openat(a.base, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &Error{Op: "open", Path: mountPoint, Err: err}
	}
	defer a.k.close(dir)
	name := ""
	for _, name = range noteNames {
		if err = a.k.setxattr(dir, name, []byte(text)); err != unix.EOPNOTSUPP {
			break
		}
	}
	if err != nil {
		return &Error{Op: "fsetxattr", Path: mountPoint, Data: text, Err: err}
	}
	a.onFailure(func() error { return a.removeNote(name) })
	return nil
}

func (a *application) removeNote(name string) error {
	dir, err := a.k.openat(a.base, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &Error{Op: "open", Path: mountPoint, Err: err}
	}
	defer a.k.close(dir)
	if err := a.k.delxattr(dir, name); err != nil && err != unix.ENODATA {
		return &Error{Op: "fremovexattr", Path: mountPoint, Err: err}
	}
	return nil
}
