package cgroup

import (
	"time"

	"golang.org/x/sys/unix"
)

// kernel has every system call of this package. Tests replace single fields to make a
// call fail, or to show another file system.
type kernel struct {
	unshare   func(flags int) error
	setns     func(fd, nstype int) error
	fsopen    func(fsname string, flags int) (int, error)
	fsconfig  func(fd int) error
	fsmount   func(fd, flags, attrs int) (int, error)
	moveMount func(fromfd int, from string, tofd int, to string, flags int) error
	mount     func(source, target, fstype string, flags uintptr, data string) error
	umount    func(target string, flags int) error
	openat    func(dir int, name string, flags int, mode uint32) (int, error)
	mkdirat   func(dir int, name string, mode uint32) error
	unlinkat  func(dir int, name string, flags int) error
	read      func(fd int, p []byte) (int, error)
	write     func(fd int, p []byte) (int, error)
	fstatfs   func(fd int, s *unix.Statfs_t) error
	fstat     func(fd int, s *unix.Stat_t) error
	fstatat   func(dir int, name string, s *unix.Stat_t, flags int) error
	stat      func(name string, s *unix.Stat_t) error
	lstat     func(name string, s *unix.Stat_t) error
	readlink  func(name string, p []byte) (int, error)
	getdents  func(fd int, p []byte) (int, error)
	getxattr  func(name, attr string, p []byte) (int, error)
	setxattr  func(fd int, attr string, p []byte) error
	delxattr  func(fd int, attr string) error
	flock     func(fd, how int) error
	uname     func(*unix.Utsname) error
	getpid    func() int
	getppid   func() int
	getsid    func(pid int) (int, error)
	geteuid   func() int
	close     func(fd int) error
	sleep     func(time.Duration)
}

var linux = kernel{
	unshare: unix.Unshare, setns: unix.Setns,
	fsopen: unix.Fsopen, fsconfig: unix.FsconfigCreate, fsmount: unix.Fsmount, moveMount: unix.MoveMount,
	mount: unix.Mount, umount: unix.Unmount,
	openat: unix.Openat, mkdirat: unix.Mkdirat, unlinkat: unix.Unlinkat,
	read: unix.Read, write: unix.Write, close: unix.Close,
	fstatfs: unix.Fstatfs, fstat: unix.Fstat, fstatat: unix.Fstatat, stat: unix.Stat, lstat: unix.Lstat,
	readlink: unix.Readlink, getdents: unix.Getdents, flock: unix.Flock,
	uname: unix.Uname, getpid: unix.Getpid, getppid: unix.Getppid, getsid: unix.Getsid, geteuid: unix.Geteuid,
	getxattr: unix.Lgetxattr, delxattr: unix.Fremovexattr,
	setxattr: func(fd int, attr string, p []byte) error { return unix.Fsetxattr(fd, attr, p, 0) },
	sleep:    time.Sleep,
}

// readFile reads the whole file name below dir, which is a file of the kernel. The kernel
// returns cgroup.procs one page at a time. O_NONBLOCK is for something else that is
// mounted in the place of cgroup2.
func (k *kernel) readFile(dir int, name string) (string, error) {
	fd, err := k.openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", &Error{Op: "open", Path: name, Err: err}
	}
	defer k.close(fd)
	data := make([]byte, 0, 4096)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := k.read(fd, data[len(data):cap(data)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", &Error{Op: "read", Path: name, Err: err}
		case n == 0:
			return string(data), nil
		default:
			data = data[:len(data)+n]
		}
	}
}

// readUpTo reads at most limit bytes of a file in /proc.
func (k *kernel) readUpTo(name string, limit int) ([]byte, error) {
	fd, err := k.openat(unix.AT_FDCWD, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &Error{Op: "open", Path: name, Err: err}
	}
	defer k.close(fd)
	data := make([]byte, limit)
	for size := 0; ; {
		n, err := k.read(fd, data[size:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &Error{Op: "read", Path: name, Err: err}
		case n == 0:
			return data[:size], nil
		default:
			size += n
		}
	}
}

// entries returns the names in a directory.
func (k *kernel) entries(dir string) (names []string, err error) {
	fd, err := k.openat(unix.AT_FDCWD, dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &Error{Op: "open", Path: dir, Err: err}
	}
	defer k.close(fd)
	buf := make([]byte, 8192)
	for {
		n, err := k.getdents(fd, buf)
		if err != nil {
			return names, &Error{Op: "getdents64", Path: dir, Err: err}
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// writeFile writes data in one call, because a cgroup file takes each write as a whole
// (the kernel document, "Interface Files").
func (k *kernel) writeFile(dir int, name, data string) error {
	fd, err := k.openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &Error{Op: "open", Path: name, Data: data, Err: err}
	}
	defer k.close(fd)
	return k.writeTo(fd, name, data)
}

func (k *kernel) writeTo(fd int, name, data string) error {
	for {
		_, err := k.write(fd, []byte(data))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &Error{Op: "write", Path: name, Data: data, Err: err}
		}
	}
}
