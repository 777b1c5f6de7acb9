package cgroup

import (
	"strings"
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
	subject   func() (pid, parent int) // the process whose cgroup this is
	getpid    func() int               // the caller
	getsid    func(pid int) (int, error)
	geteuid   func() int
	close     func(fd int) error
	sleep     func(time.Duration)

	affinity    func(thread int, s *unix.CPUSet) error
	setAffinity func(thread int, s *unix.CPUSet) error

	inotifyInit     func(flags int) (int, error)
	inotifyAddWatch func(fd int, path string, mask uint32) (int, error)
}

var linux = kernel{
	unshare: unix.Unshare, setns: unix.Setns,
	fsopen: unix.Fsopen, fsconfig: unix.FsconfigCreate, fsmount: unix.Fsmount, moveMount: unix.MoveMount,
	mount: unix.Mount, umount: unix.Unmount,
	openat: unix.Openat, mkdirat: unix.Mkdirat, unlinkat: unix.Unlinkat,
	read: unix.Read, write: unix.Write, close: unix.Close,
	fstatfs: unix.Fstatfs, fstat: unix.Fstat, fstatat: unix.Fstatat, stat: unix.Stat, lstat: unix.Lstat,
	readlink: unix.Readlink, getdents: unix.Getdents, flock: unix.Flock,
	uname: unix.Uname, getpid: unix.Getpid, getsid: unix.Getsid, geteuid: unix.Geteuid,
	getxattr: unix.Lgetxattr, delxattr: unix.Fremovexattr,
	setxattr: func(fd int, attr string, p []byte) error { return unix.Fsetxattr(fd, attr, p, 0) },
	subject:  func() (int, int) { return unix.Getpid(), unix.Getppid() },
	sleep:    time.Sleep,

	affinity: unix.SchedGetaffinity, setAffinity: unix.SchedSetaffinity,
	inotifyInit: unix.InotifyInit1, inotifyAddWatch: unix.InotifyAddWatch,
}

// until returns a kernel that opens and reads nothing more once stop returns true. It is
// for observations. A step must not use it, because a step may have to be undone.
func (k *kernel) until(stop func() bool) *kernel {
	if stop == nil {
		return k
	}
	limited := *k
	limited.openat = func(dir int, name string, flags int, mode uint32) (int, error) {
		if stop() {
			return -1, unix.ECANCELED
		}
		return k.openat(dir, name, flags, mode)
	}
	limited.read = func(fd int, p []byte) (int, error) {
		if stop() {
			return -1, unix.ECANCELED
		}
		return k.read(fd, p)
	}
	return &limited
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

// field returns the rest of the line of a file that begins with key, or "".
func (k *kernel) field(name, key string) string {
	content, _ := k.readFile(unix.AT_FDCWD, name)
	for line := range strings.Lines(content) {
		if value, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
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

// openDir opens a directory for openat(2), for which O_PATH is enough.
func (k *kernel) openDir(at int, name string) (int, error) {
	fd, err := k.openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

// writeFile writes data in one call, because a cgroup file takes each write as a whole
// (the kernel document, "Interface Files").
func (k *kernel) writeFile(dir int, name, data string) error { return k.writeFlags(dir, name, data, 0) }

// writeFlags is writeFile with more flags of open(2).
func (k *kernel) writeFlags(dir int, name, data string, flags int) error {
	fd, err := k.openat(dir, name, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|flags, 0)
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
