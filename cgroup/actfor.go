package cgroup

import (
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a process for which its child calls this package. Facts and steps are then
// about that process. PID 1 without Go's runtime needs that.
type Process struct {
	PID, Parent int
	// Call makes a system call in the process. String copies a string to where the process
	// can read it, until release is called.
	Call   func(number uintptr, arguments ...uintptr) (uintptr, syscall.Errno)
	String func(s string) (address uintptr, release func())
}

// ActFor makes this package act for p. The caller has to be a child of p, in the same
// namespaces and in the same cgroup, and has to call this package on one thread.
func ActFor(p Process) {
	linux.subject = func() (int, int) { return p.PID, p.Parent }
	linux.unshare = func(flags int) error {
		if _, errno := p.Call(unix.SYS_UNSHARE, uintptr(flags)); errno != 0 {
			return errno
		}
		err := joinProcess(p.PID, flags)
		if err != nil { // the step has not been done
			_ = p.follow(flags)
		}
		return err
	}
	linux.setns = func(fd, nstype int) error {
		if err := unix.Setns(fd, nstype); err != nil {
			return err
		}
		return p.follow(nstype)
	}
}

// Rejoin makes the caller join the cgroup namespace of the process that it acts for, which has
// changed its namespace by itself.
func Rejoin() error {
	pid, _ := linux.subject()
	if err := joinProcess(pid, unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "setns", Path: namespaceFile(pid), Err: err}
	}
	return nil
}

// joinProcess makes this thread join a namespace of a process. A pidfd means the right
// process even if /proc shows another PID namespace (setns(2), Linux 5.8).
func joinProcess(pid, nstype int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		err = unix.Setns(fd, nstype)
		unix.Close(fd)
	}
	if err == nil || is(err, unix.EPERM) {
		return err
	}
	if fd, err = unix.Open(namespaceFile(pid), unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, nstype)
}

func namespaceFile(pid int) string { return "/proc/" + strconv.Itoa(pid) + "/ns/cgroup" }

// follow makes p join the namespace of this thread, which is the main thread.
func (p Process) follow(nstype int) error {
	self := unix.Getpid()
	fd, errno := p.Call(unix.SYS_PIDFD_OPEN, uintptr(self), 0)
	if errno == 0 {
		errno = p.setns(fd, nstype)
	}
	if errno == 0 || errno == unix.EPERM {
		return failure(errno)
	}
	const cwd = ^uintptr(99) // AT_FDCWD, -100
	path, release := p.String(namespaceFile(self))
	defer release()
	if fd, errno = p.Call(unix.SYS_OPENAT, cwd, path, unix.O_RDONLY|unix.O_CLOEXEC, 0); errno != 0 {
		return errno
	}
	return failure(p.setns(fd, nstype))
}

func (p Process) setns(fd uintptr, nstype int) syscall.Errno {
	_, errno := p.Call(unix.SYS_SETNS, fd, uintptr(nstype))
	p.Call(unix.SYS_CLOSE, fd)
	return errno
}

func failure(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func (k *kernel) subjectPID() string {
	pid, _ := k.subject()
	return strconv.Itoa(pid)
}

// isHelper reports whether pid is the caller, which acts for another process and is gone when
// its work is done.
func (k *kernel) isHelper(pid string) bool {
	return pid == strconv.Itoa(k.getpid()) && pid != k.subjectPID()
}

// split is like splitProcs, but it leaves the helper out.
func (k *kernel) split(procs string) (pids []string, foreign int) {
	pids, foreign = splitProcs(procs)
	return slices.DeleteFunc(pids, k.isHelper), foreign
}
