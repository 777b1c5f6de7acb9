package cgroup

import (
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// fault makes the nth call of op fail. With 0 every call fails.
type fault struct {
	Op    string
	Nth   int
	Errno syscall.Errno // 0 with Do: the call is made after Do
	Do    string        // name of a function in setups
}

// lie makes a call succeed without making it.
const lie = syscall.Errno(1 << 20)

// faulty returns a kernel with these faults, which counts the calls.
func faulty(faults []fault, calls map[string]int) *kernel {
	k := linux
	hit := func(op string) error {
		calls[op]++
		for _, f := range faults {
			if f.Op != op || f.Nth != 0 && f.Nth != calls[op] {
				continue
			}
			if f.Do != "" {
				setups[f.Do]()
			}
			if f.Errno != 0 {
				return f.Errno
			}
		}
		return nil
	}
	k.unshare = func(flags int) error { return first(hit("unshare"), func() error { return linux.unshare(flags) }) }
	k.setns = func(fd, kind int) error { return first(hit("setns"), func() error { return linux.setns(fd, kind) }) }
	k.fsconfig = func(fd int) error { return first(hit("fsconfig"), func() error { return linux.fsconfig(fd) }) }
	k.fsopen = func(name string, flags int) (int, error) {
		if err := hit("fsopen"); err != nil {
			return -1, err
		}
		return linux.fsopen(name, flags)
	}
	k.fsmount = func(fd, flags, attrs int) (int, error) {
		if err := hit("fsmount"); err != nil {
			return -1, err
		}
		return linux.fsmount(fd, flags, attrs)
	}
	k.moveMount = func(from int, a string, to int, b string, flags int) error {
		if flags&moveMountBeneath != 0 && slices.ContainsFunc(faults, func(f fault) bool { return f.Op == "beneath" }) {
			if err := hit("beneath"); err != nil {
				return err
			}
		}
		return first(hit("move_mount"), func() error { return linux.moveMount(from, a, to, b, flags) })
	}
	k.mount = func(source, target, fstype string, flags uintptr, data string) error {
		return first(hit("mount"), func() error { return linux.mount(source, target, fstype, flags, data) })
	}
	k.umount = func(target string, flags int) error {
		return first(hit("umount"), func() error { return linux.umount(target, flags) })
	}
	k.openat = func(dir int, name string, flags int, mode uint32) (int, error) {
		if err := hit("open"); err != nil {
			return -1, err
		}
		return linux.openat(dir, name, flags, mode)
	}
	k.mkdirat = func(dir int, name string, mode uint32) error {
		return first(hit("mkdir"), func() error { return linux.mkdirat(dir, name, mode) })
	}
	k.read = func(fd int, p []byte) (int, error) {
		if err := hit("read"); err != nil {
			return -1, err
		}
		return linux.read(fd, p)
	}
	k.write = func(fd int, p []byte) (int, error) {
		if err := hit("write"); err != nil {
			if err == lie {
				return len(p), nil
			}
			return -1, err
		}
		return linux.write(fd, p)
	}
	k.setxattr = func(fd int, attr string, p []byte) error {
		return first(hit("setxattr"), func() error { return linux.setxattr(fd, attr, p) })
	}
	k.flock = func(fd, how int) error { return first(hit("flock"), func() error { return linux.flock(fd, how) }) }
	k.stat = func(name string, s *unix.Stat_t) error {
		return first(hit("stat"), func() error { return linux.stat(name, s) })
	}
	k.fstatfs = func(fd int, s *unix.Statfs_t) error {
		return first(hit("fstatfs"), func() error { return linux.fstatfs(fd, s) })
	}
	k.fstat = func(fd int, s *unix.Stat_t) error {
		return first(hit("fstat"), func() error { return linux.fstat(fd, s) })
	}
	return &k
}

func first(err error, call func() error) error {
	if err == lie {
		return nil
	}
	if err != nil {
		return err
	}
	return call()
}
