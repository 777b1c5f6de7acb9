package cgroup

import (
	"time"

	"golang.org/x/sys/unix"
)

// points are the system calls of a run, in order.
type points struct {
	Count   int
	Changes []int // those that may change something
	Noted   int   // the first that writes a note
}

// dying returns a kernel that calls die before its nth call, and makes no call after it
// but close. It counts the calls in p. With 0 it never dies.
func dying(k *kernel, nth int, die func(), p *points) *kernel {
	dead := false
	point := func(changes bool) error {
		if dead {
			return unix.EIO
		}
		p.Count++
		if changes {
			p.Changes = append(p.Changes, p.Count)
		}
		if p.Count == nth {
			dead = true
			die()
		}
		return nil
	}
	d := *k
	d.unshare = func(flags int) error { return first(point(true), func() error { return k.unshare(flags) }) }
	d.setns = func(fd, kind int) error { return first(point(true), func() error { return k.setns(fd, kind) }) }
	d.fsopen = func(name string, flags int) (int, error) {
		return second(point(false), func() (int, error) { return k.fsopen(name, flags) })
	}
	d.fsconfig = func(fd int) error { return first(point(false), func() error { return k.fsconfig(fd) }) }
	d.fsmount = func(fd, flags, attrs int) (int, error) {
		return second(point(false), func() (int, error) { return k.fsmount(fd, flags, attrs) })
	}
	d.moveMount = func(from int, a string, to int, b string, flags int) error {
		return first(point(true), func() error { return k.moveMount(from, a, to, b, flags) })
	}
	d.mount = func(source, target, kind string, flags uintptr, data string) error {
		return first(point(true), func() error { return k.mount(source, target, kind, flags, data) })
	}
	d.umount = func(target string, flags int) error {
		return first(point(true), func() error { return k.umount(target, flags) })
	}
	d.openat = func(dir int, name string, flags int, mode uint32) (int, error) {
		return second(point(flags&unix.O_CREAT != 0), func() (int, error) { return k.openat(dir, name, flags, mode) })
	}
	d.mkdirat = func(dir int, name string, mode uint32) error {
		return first(point(true), func() error { return k.mkdirat(dir, name, mode) })
	}
	d.unlinkat = func(dir int, name string, flags int) error {
		return first(point(true), func() error { return k.unlinkat(dir, name, flags) })
	}
	d.read = func(fd int, b []byte) (int, error) {
		return second(point(false), func() (int, error) { return k.read(fd, b) })
	}
	d.write = func(fd int, b []byte) (int, error) {
		return second(point(true), func() (int, error) { return k.write(fd, b) })
	}
	d.fstatfs = func(fd int, s *unix.Statfs_t) error {
		return first(point(false), func() error { return k.fstatfs(fd, s) })
	}
	d.fstat = func(fd int, s *unix.Stat_t) error {
		return first(point(false), func() error { return k.fstat(fd, s) })
	}
	d.fstatat = func(dir int, name string, s *unix.Stat_t, flags int) error {
		return first(point(false), func() error { return k.fstatat(dir, name, s, flags) })
	}
	d.stat = func(name string, s *unix.Stat_t) error {
		return first(point(false), func() error { return k.stat(name, s) })
	}
	d.lstat = func(name string, s *unix.Stat_t) error {
		return first(point(false), func() error { return k.lstat(name, s) })
	}
	d.readlink = func(name string, b []byte) (int, error) {
		return second(point(false), func() (int, error) { return k.readlink(name, b) })
	}
	d.getdents = func(fd int, b []byte) (int, error) {
		return second(point(false), func() (int, error) { return k.getdents(fd, b) })
	}
	d.getxattr = func(name, attr string, b []byte) (int, error) {
		return second(point(false), func() (int, error) { return k.getxattr(name, attr, b) })
	}
	d.setxattr = func(fd int, attr string, b []byte) error {
		return first(point(true), func() error {
			if p.Noted == 0 {
				p.Noted = p.Count
			}
			return k.setxattr(fd, attr, b)
		})
	}
	d.delxattr = func(fd int, attr string) error {
		return first(point(true), func() error { return k.delxattr(fd, attr) })
	}
	d.setAffinity = func(thread int, s *unix.CPUSet) error {
		return first(point(true), func() error { return k.setAffinity(thread, s) })
	}
	d.flock = func(fd, how int) error { return first(point(false), func() error { return k.flock(fd, how) }) }
	d.sleep = func(pause time.Duration) { _ = first(point(false), func() error { k.sleep(pause); return nil }) }
	return &d
}

func second(err error, call func() (int, error)) (int, error) {
	if err != nil {
		return -1, err
	}
	return call()
}

// deadHelper is what dying panics with where a helper of PID 1 dies and PID 1 goes on.
type deadHelper struct{}

// surviving calls run, and goes on if the helper dies in it.
func surviving(run func()) {
	defer func() {
		if e := recover(); e != nil && e != (deadHelper{}) {
			panic(e)
		}
	}()
	run()
}
