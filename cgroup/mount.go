package cgroup

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Flags of a cgroup mount. They are the flags that runc sets.
const (
	mountFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME
	mountAttrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_RELATIME
)

// openStep uses the mount that is at /sys/fs/cgroup.
type openStep struct{}

func (openStep) String() string { return "use the mount at " + mountPoint }

func (openStep) do(a *application) (err error) {
	if a.base, err = a.openDir(unix.AT_FDCWD, mountPoint); err != nil {
		return err
	}
	return a.verify("")
}

// writableStep makes the container's own mount writable. It repeats the other flags,
// because a bind remount drops every flag that is missing (mount(2)). The superblock,
// which the host shares, stays as it is.
type writableStep struct{ options []string }

func (s writableStep) String() string {
	return "make the mount at " + mountPoint + " writable"
}

// remountFlags are the flags of a single mount that mountinfo shows.
var remountFlags = []struct {
	name string
	flag uintptr
}{
	{"nosuid", unix.MS_NOSUID},
	{"nodev", unix.MS_NODEV},
	{"noexec", unix.MS_NOEXEC},
	{"noatime", unix.MS_NOATIME},
	{"nodiratime", unix.MS_NODIRATIME},
	{"relatime", unix.MS_RELATIME},
}

func (s writableStep) do(a *application) error {
	if err := s.remount(a, "rw", 0); err != nil {
		return err
	}
	a.onFailure(func() error { return s.restore(a) })
	return nil
}

func (s writableStep) restore(a *application) error { return s.remount(a, "ro", unix.MS_RDONLY) }

func (s writableStep) remount(a *application, name string, flags uintptr) error {
	flags |= unix.MS_REMOUNT | unix.MS_BIND
	for _, f := range remountFlags {
		if slices.Contains(s.options, f.name) {
			flags |= f.flag
		}
	}
	if err := a.k.mount("", mountPoint, "", flags, ""); err != nil {
		return &Error{Op: "remount", Path: mountPoint, Data: "bind," + name, Err: err}
	}
	return nil
}

// buildStep makes a mount of the container's cgroup and of nothing above it. The mount
// is detached, so no other process can see it yet. The steps up to placeStep work in
// this mount. So a step that fails leaves /sys/fs/cgroup as it was.
//
// A detached mount takes the mount API of Linux 5.2 (fsopen(2)), which an old seccomp
// profile may refuse. Then the steps up to placeStep work in the old mount. If the
// container's cgroup cannot be written there, mountOver puts the new mount over the old
// mount at once.
type buildStep struct {
	own    string    // directory of the container's cgroup in the old mount, or "" if the mount does not show it
	usable bool      // this directory can be written
	place  placeStep // how to attach the new mount
}

func (s buildStep) String() string {
	return "make a mount of the container's cgroup that no other process sees yet"
}

func (s buildStep) do(a *application) (err error) {
	a.mount, err = a.detachedMount()
	switch {
	case err == nil:
		a.base = a.mount
		return a.verify(s.own)
	case !refused(err):
		return err
	case s.usable:
		if a.base, err = a.openDir(unix.AT_FDCWD, s.own); err != nil {
			return err
		}
		return a.verify("")
	}
	if err := a.mountOver(s.place); err != nil {
		return err
	}
	if a.base, err = a.openDir(unix.AT_FDCWD, mountPoint); err != nil {
		return err
	}
	return a.verify("")
}

// namespaced checks that this thread has left the initial cgroup namespace. unshareStep
// says what a mount from that namespace would do to the host.
func (a *application) namespaced() error {
	const own = "/proc/thread-self/ns/cgroup"
	var stat unix.Stat_t
	if err := a.k.stat(own, &stat); err != nil {
		return &Error{Op: "stat", Path: own, Err: err}
	}
	if stat.Ino == InitialCgroupNamespace {
		return &Error{Op: "stat", Path: own, Data: "the initial cgroup namespace", Err: unix.EXDEV}
	}
	return nil
}

func (a *application) detachedMount() (int, error) {
	if err := a.namespaced(); err != nil {
		return -1, err
	}
	fs, err := a.k.fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, &Error{Op: "fsopen", Path: "cgroup2", Err: err}
	}
	defer a.k.close(fs)
	if err := a.k.fsconfig(fs); err != nil {
		return -1, &Error{Op: "fsconfig", Path: "cgroup2", Err: err}
	}
	mount, err := a.k.fsmount(fs, unix.FSMOUNT_CLOEXEC, mountAttrs)
	if err != nil {
		return -1, &Error{Op: "fsmount", Path: "cgroup2", Err: err}
	}
	return mount, nil
}

// verify checks that base is a cgroup directory and not the real root of the hierarchy.
// If the old mount shows the container's cgroup at own, verify also checks that both
// have the same inode. A cgroup has one inode in all mounts.
func (a *application) verify(own string) error {
	var fs unix.Statfs_t
	if err := a.k.fstatfs(a.base, &fs); err != nil {
		return &Error{Op: "fstatfs", Path: mountPoint, Err: err}
	}
	if int64(fs.Type) != unix.CGROUP2_SUPER_MAGIC {
		return &Error{Op: "fstatfs", Path: mountPoint, Err: unix.EINVAL}
	}
	if _, err := a.k.readFile(a.base, "cgroup.type"); err != nil {
		return err
	}
	var stat, expected unix.Stat_t
	if err := a.k.fstat(a.base, &stat); err != nil {
		return &Error{Op: "fstat", Path: mountPoint, Err: err}
	}
	a.report.ID = stat.Ino
	if own == "" {
		return nil
	}
	dir, err := a.openDir(unix.AT_FDCWD, own)
	if err != nil {
		return err
	}
	defer a.k.close(dir)
	if err := a.k.fstat(dir, &expected); err != nil {
		return &Error{Op: "fstat", Path: own, Err: err}
	}
	if expected.Ino != stat.Ino {
		return &Error{Op: "fstat", Path: own, Data: "the new mount shows another cgroup", Err: unix.ESTALE}
	}
	return nil
}

// placeStep attaches the new mount at /sys/fs/cgroup. No step after it may fail, because
// nothing can bring the old mount back.
//
// If the mount that holds the old mount is shared, the old mount stays. Its removal, or a
// mount below it, would reach every peer of the holder, and the host may have one: a pod
// with a Bidirectional volume has such mounts, and `-v /sys:/sys:rshared` makes the host's
// own a peer. A mount on the old mount reaches only the peers of the old mount, which has
// none once it is private (mount_namespaces(7)).
type placeStep struct {
	replace bool // remove the old mount; false if there are mounts below it, or if its holder is shared
	uncover bool // a killed run has placed the new mount below the old mount, so remove the old mount
	isolate bool // the old mount propagates, so make it private first

	// These are for placeTucked.
	holder string // mount point of the private mount that the old mount is on, or ""
	room   string // the leaf in the old mount, as a directory to mount on
	keep   int    // mount ID of the holder
}

func (s placeStep) String() string {
	text := "put the new mount on " + mountPoint
	switch {
	case s.replace && s.uncover:
		text = "remove the mount at " + mountPoint + ", below which a killed run has put the new mount"
	case s.replace:
		text = "put the new mount in the place of the one at " + mountPoint
	}
	if s.isolate {
		text = "make the mount at " + mountPoint + " private, and " + text
	}
	return text
}

func (s placeStep) do(a *application) error {
	switch {
	case a.placed: // by mountOver in buildStep
		return nil
	case a.mount < 0:
		if err := a.mountOver(s); err != nil {
			return err
		}
	default:
		if err := a.isolate(s); err != nil {
			return err
		}
		if err := a.placeNew(s); err != nil {
			return err
		}
	}
	a.try(a.visible)
	return nil
}

// placeNew attaches the new mount. The old mount is removed or covered.
func (a *application) placeNew(s placeStep) (err error) {
	if s.replace && a.removable() {
		if s.uncover {
			a.report.Replaced = true
			return a.uncover()
		}
		if a.report.Replaced = a.placeBeneath(); !a.report.Replaced {
			a.report.Replaced, err = a.placeTucked(s)
		}
	}
	if a.report.Replaced || err != nil {
		return err
	}
	err = a.k.moveMount(a.mount, "", unix.AT_FDCWD, mountPoint, unix.MOVE_MOUNT_F_EMPTY_PATH)
	switch {
	case refused(err):
		return a.mountOver(s)
	case err != nil:
		return &Error{Op: "move_mount", Path: mountPoint, Err: err}
	}
	return nil
}

// refused reports whether err is the answer of a kernel or a security profile that does
// not know the mount calls of Linux 5.2. The answer is ENOSYS or EPERM from seccomp,
// and EACCES from AppArmor.
func refused(err error) bool { return is(err, unix.ENOSYS, unix.EPERM, unix.EACCES) }

// isolate makes the old mount private before anything is mounted on it or removed from
// it. A mount on a shared mount appears in every peer, and the host may have one
// (mount_namespaces(7)). isolate is not undone, because a mount cannot return into its
// peer group. No mount from outside is missed, because programs mount nothing in a
// cgroup.
func (a *application) isolate(s placeStep) error {
	if !s.isolate {
		return nil
	}
	return a.private(mountPoint)
}

// moveMountBeneath is MOVE_MOUNT_BENEATH (include/uapi/linux/mount.h).
const moveMountBeneath = 0x200

// placeBeneath attaches the new mount under the old mount and then removes the old
// mount (MOVE_MOUNT_BENEATH, Linux 6.5). So a cgroup mount is visible at every moment,
// and no mount stays hidden below. placeBeneath reports whether this worked. If not,
// the new mount is still detached.
func (a *application) placeBeneath() bool {
	err := a.k.moveMount(a.mount, "", unix.AT_FDCWD, mountPoint, unix.MOVE_MOUNT_F_EMPTY_PATH|moveMountBeneath)
	return err == nil && a.detach() == nil // detach is lazy, because another process may have a descriptor in the old mount
}

// removable reports whether the kernel lets this process remove the old mount. If not, a
// new mount beneath it could never be seen. With MNT_EXPIRE, umount(2) makes all the
// checks of a real umount. Then it only marks the mount (EAGAIN), or reports that the
// mount is in use (EBUSY; fs/namespace.c, do_umount). Call removable only once, because
// the second call would remove an unused mount (umount(2)).
func (a *application) removable() bool {
	err := a.k.umount(mountPoint, unix.MNT_EXPIRE|unix.UMOUNT_NOFOLLOW)
	return is(err, unix.EAGAIN, unix.EBUSY)
}

// placeTucked does the same as placeBeneath on Linux before 6.5, by propagation. If a
// mount propagates to a place that already has a mount, the kernel puts the new mount
// under the old mount (fs/pnode.c, propagate_mnt; commit 1064f874abc0, Linux 4.11).
//
// The old mount is on a mount that is called the holder. placeTucked makes the holder
// shared and binds it to an unused directory of the old mount, which makes a peer of the
// holder. The new mount is attached in the peer and propagates to the holder, under the
// old mount. Then placeTucked removes the old mount, and the peer disappears with it.
// Before that, the holder and the peer have to stop being peers. Otherwise the kernel
// would remove the new mount from both.
func (a *application) placeTucked(s placeStep) (placed bool, err error) {
	if s.holder == "" {
		return false, nil
	}
	if a.writeNote(s.keep) != nil {
		return false, nil
	}
	defer a.writeNote(0)
	if a.k.mount("", s.holder, "", unix.MS_SHARED, "") != nil {
		return false, nil
	}
	refused := a.k.mount(s.holder, s.room, "", unix.MS_BIND, "")
	bound := refused == nil
	if bound {
		down, _ := below(mountPoint, s.holder)
		refused = a.k.moveMount(a.mount, "", unix.AT_FDCWD, s.room+down, unix.MOVE_MOUNT_F_EMPTY_PATH)
	}
	err = a.private(s.holder)
	if refused == nil && err == nil {
		if err = a.detach(); err == nil { // the new mount became shared on a shared mount, but it has no peer
			a.try(func() error { return a.private(mountPoint) })
		}
		return true, err
	}
	// Remove the peer. As long as it is a peer, the kernel removes the new mount from
	// the holder too.
	if bound {
		_ = a.k.umount(s.room, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if err != nil { // try again, now that the peer is empty
		_ = a.private(s.holder)
	}
	return false, err
}

// uncover removes the old mount, below which a killed run has placed the new mount.
func (a *application) uncover() error {
	if err := a.detach(); err != nil {
		return err
	}
	a.try(func() error { return a.private(mountPoint) }) // see placeTucked
	a.try(func() error { return a.writeNote(0) })
	return nil
}

// settleStep undoes the changes of a run of cgshim that was killed in placeTucked.
type settleStep struct {
	holder, room string
	mounted      bool // the peer is at room
}

func (s settleStep) String() string {
	return "undo what a killed run has left: remove the mount at " + s.room + ", and make the mount " + s.holder + " private"
}

func (s settleStep) do(a *application) error {
	if err := a.k.umount(s.room, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && s.mounted {
		return &Error{Op: "umount", Path: s.room, Err: err}
	}
	return a.private(s.holder)
}

// clearStep removes the tmpfs of a run of cgshim that was killed in mountOver. The old
// mount, which the tmpfs is on, is private by then.
type clearStep struct{}

func (clearStep) String() string {
	return "remove the tmpfs that a killed run has left at " + mountPoint
}

func (clearStep) do(a *application) error { return a.detach() }

func (a *application) private(point string) error {
	if err := a.k.mount("", point, "", unix.MS_PRIVATE, ""); err != nil {
		return &Error{Op: "mount", Path: point, Data: "make-private", Err: err}
	}
	return nil
}

// betweenSource is the source of the tmpfs of mountOver, by which a later run knows it.
const betweenSource = "cgshim"

// mountOver covers the old mount by mount(2). The kernel refuses to mount a file system
// on itself (EBUSY). So mountOver puts a tmpfs in between, as RootlessKit and crun do.
func (a *application) mountOver(s placeStep) error {
	if err := a.namespaced(); err != nil {
		return err
	}
	if err := a.isolate(s); err != nil {
		return err
	}
	if err := a.k.mount(betweenSource, mountPoint, "tmpfs", mountFlags, "size=0,mode=755"); err != nil {
		return &Error{Op: "mount", Path: mountPoint, Data: "tmpfs", Err: err}
	}
	a.onFailure(a.detach)
	if err := a.k.mount("cgroup2", mountPoint, "cgroup2", mountFlags, ""); err != nil {
		return &Error{Op: "mount", Path: mountPoint, Data: "cgroup2", Err: err}
	}
	a.onFailure(a.detach)
	a.placed = true
	return nil
}

func (a *application) detach() error {
	if err := a.k.umount(mountPoint, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return &Error{Op: "umount", Path: mountPoint, Err: err}
	}
	return nil
}

// visible checks that /sys/fs/cgroup now is the container's cgroup.
func (a *application) visible() error {
	dir, err := a.openDir(unix.AT_FDCWD, mountPoint)
	if err != nil {
		return err
	}
	defer a.k.close(dir)
	var stat unix.Stat_t
	if err := a.k.fstat(dir, &stat); err != nil {
		return &Error{Op: "fstat", Path: mountPoint, Err: err}
	}
	if stat.Ino != a.report.ID {
		return &Error{Op: "fstat", Path: mountPoint, Data: "another mount is in front", Err: unix.EBUSY}
	}
	return nil
}
