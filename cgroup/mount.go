package cgroup

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Flags of a cgroup mount: the ones that runc gives it.
const (
	mountFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RELATIME
	mountAttrs = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_RELATIME
)

// openStep takes the mount that is there.
type openStep struct{}

func (openStep) String() string { return "cd " + mountPoint }

func (openStep) do(a *application) (err error) {
	if a.base, err = a.openDir(unix.AT_FDCWD, mountPoint); err != nil {
		return err
	}
	return a.verify("")
}

// writableStep makes the container's own mount writable. The other flags have to
// be restated, or a bind remount drops them (mount(2)); those of the superblock,
// which the host shares, are not touched.
type writableStep struct{ options []string }

func (s writableStep) String() string {
	return "mount -o remount,bind,rw," + strings.Join(s.flagNames(), ",") + " " + mountPoint
}

// remountFlags are the flags of one mount that mountinfo shows.
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

func (s writableStep) flagNames() (names []string) {
	for _, f := range remountFlags {
		if slices.Contains(s.options, f.name) {
			names = append(names, f.name)
		}
	}
	return names
}

func (s writableStep) do(a *application) error {
	flags := uintptr(unix.MS_REMOUNT | unix.MS_BIND)
	for _, f := range remountFlags {
		if slices.Contains(s.options, f.name) {
			flags |= f.flag
		}
	}
	if err := a.k.mount("", mountPoint, "", flags, ""); err != nil {
		return &Error{Op: "remount", Path: mountPoint, Data: "bind,rw", Err: err}
	}
	a.onFailure(func() error {
		if err := a.k.mount("", mountPoint, "", flags|unix.MS_RDONLY, ""); err != nil {
			return &Error{Op: "remount", Path: mountPoint, Data: "bind,ro", Err: err}
		}
		return nil
	})
	return nil
}

// buildStep makes a mount of the container's cgroup, and of nothing above it,
// that nobody can see yet: with the file descriptor API of Linux 5.2 (fsopen(2)).
// Everything that can fail is done in there. Where that API is refused, by an old
// seccomp profile for instance, the own directory in the old mount serves until
// placeStep, and where that does not serve either the mount is made in place.
type buildStep struct {
	own    string    // the container's cgroup in the old mount, "" where that does not show it
	usable bool      // it can be written there
	place  placeStep // how to put the new mount in its place
}

func (s buildStep) String() string { return "mount -t cgroup2 cgroup2 $(mktemp -d)" }

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

// namespaced makes sure that this thread has left the initial cgroup namespace.
// See unshareStep for what a mount from there would do to the host.
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

// verify makes sure that base is a cgroup directory, not the hierarchy's real
// root, and the one that own shows where the old mount shows it: the inode of a
// cgroup is the same through every mount.
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
		return &Error{Op: "fstat", Path: own, Data: "another cgroup than the new mount's root", Err: unix.ESTALE}
	}
	return nil
}

// placeStep puts the new mount where everybody looks for it. It is the last step
// that can fail: once the old mount is gone there is no way back.
type placeStep struct {
	replace bool   // take the old mount away; not with mounts below it
	isolate bool   // the old mount propagates
	holder  string // the mount point of a private mount that the old one is on, or ""
	room    string // with that: an empty directory in the old mount
	keep    int    // with that: the mount's ID where this process can be killed and the container live on, or 0
}

func (s placeStep) String() string {
	line := "mount --move $DIR " + mountPoint
	if s.replace {
		line = "mount --beneath --move $DIR " + mountPoint + "; umount -l " + mountPoint
	}
	if s.isolate {
		line = "mount --make-private " + mountPoint + "; " + line
	}
	return line
}

func (s placeStep) do(a *application) error {
	switch {
	case a.placed: // buildStep had no other way
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

// placeNew attaches the new mount in place of the old one, or on top of it.
func (a *application) placeNew(s placeStep) (err error) {
	if s.replace && a.removable() {
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

// refused reports whether err is how a kernel or a profile answers that knows mount(2)
// and not the calls of Linux 5.2: seccomp by ENOSYS or EPERM, AppArmor by EACCES.
func refused(err error) bool { return is(err, unix.ENOSYS, unix.EPERM, unix.EACCES) }

// isolate comes before anything is mounted on the old mount or taken from it: a
// mount on a shared mount shows in every peer, the host's among them
// (mount_namespaces(7)). It is not undone: there is no way back into a peer group,
// and nobody mounts anything in a cgroup that would have to come in here.
func (a *application) isolate(s placeStep) error {
	if !s.isolate {
		return nil
	}
	return a.private(mountPoint)
}

// moveMountBeneath is MOVE_MOUNT_BENEATH (include/uapi/linux/mount.h).
const moveMountBeneath = 0x200

// placeBeneath slides the new mount under the old one and takes that away, so that
// there is no moment without a cgroup mount and nothing is left hidden below
// (MOVE_MOUNT_BENEATH, Linux 6.5). It reports whether that worked; the new mount
// is still unattached otherwise.
func (a *application) placeBeneath() bool {
	err := a.k.moveMount(a.mount, "", unix.AT_FDCWD, mountPoint, unix.MOVE_MOUNT_F_EMPTY_PATH|moveMountBeneath)
	return err == nil && a.detach() == nil // lazily, for somebody may have a descriptor in it
}

// removable asks whether the old mount can be taken away: with the new one under a
// mount that stays, it would be stuck. MNT_EXPIRE only marks a mount, or finds it in
// use, after all the checks that a real umount has to pass (fs/namespace.c, do_umount). It
// must not be asked twice: that would take an unused mount away (umount(2)).
func (a *application) removable() bool {
	err := a.k.umount(mountPoint, unix.MNT_EXPIRE|unix.UMOUNT_NOFOLLOW)
	return is(err, unix.EAGAIN, unix.EBUSY)
}

// placeTucked does the same before Linux 6.5, by propagation: a mount that propagates
// to where there is one already is put under that (fs/pnode.c, propagate_mnt; commit
// 1064f874abc0, Linux 4.10). For a moment the mount that holds the old one has a peer,
// in a directory of the old one that nothing uses, and the new mount is attached there.
// The peer goes with the old mount, to which it belongs. Before that the two are peers
// no longer, or the kernel would take the new mount away from both.
func (a *application) placeTucked(s placeStep) (placed bool, err error) {
	if s.holder == "" {
		return false, nil
	}
	if s.keep > 0 {
		if a.note(keptHolder, strconv.Itoa(s.keep)) != nil {
			return false, nil
		}
		defer a.k.unlinkat(unix.AT_FDCWD, keptHolder, 0)
	}
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
		if err = a.detach(); err == nil { // on a shared mount the new one has become shared, without a peer
			a.try(func() error { return a.private(mountPoint) })
		}
		return true, err
	}
	// While the two are peers the new mount goes from both.
	if bound {
		_ = a.k.umount(s.room, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if err != nil { // perhaps now that there is nothing in the peer
		_ = a.private(s.holder)
	}
	return false, err
}

// settleStep undoes what a run that was killed in placeTucked has left.
type settleStep struct{ holder, room string }

func (s settleStep) String() string {
	return "umount -l " + s.room + "; mount --make-private " + s.holder
}

func (s settleStep) do(a *application) error {
	_ = a.k.umount(s.room, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) // it may not have been mounted yet
	return a.private(s.holder)
}

func (a *application) private(point string) error {
	if err := a.k.mount("", point, "", unix.MS_PRIVATE, ""); err != nil {
		return &Error{Op: "mount", Path: point, Data: "make-private", Err: err}
	}
	return nil
}

// mountOver mounts with mount(2) over what is there. The same file system on itself
// is EBUSY, so a tmpfs goes in between, as RootlessKit and crun do.
func (a *application) mountOver(s placeStep) error {
	if err := a.namespaced(); err != nil {
		return err
	}
	if err := a.isolate(s); err != nil {
		return err
	}
	if err := a.k.mount("tmpfs", mountPoint, "tmpfs", mountFlags, "size=0,mode=755"); err != nil {
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

// visible makes sure that /sys/fs/cgroup is now the container's cgroup.
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
