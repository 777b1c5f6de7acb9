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
		err := joinThread("/proc/"+strconv.Itoa(p.PID)+"/ns/cgroup", flags)
		if err != nil { // the step has not been done
			_ = p.join("/proc/"+strconv.Itoa(unix.Getpid())+"/ns/cgroup", flags)
		}
		return err
	}
	linux.setns = func(fd, nstype int) error {
		if err := unix.Setns(fd, nstype); err != nil {
			return err
		}
		return p.join("/proc/"+strconv.Itoa(unix.Getpid())+"/ns/cgroup", nstype)
	}
}

// joinThread makes this thread join a namespace.
func joinThread(name string, nstype int) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, nstype)
}

// join makes p join a namespace.
func (p Process) join(name string, nstype int) error {
	const cwd = ^uintptr(99) // AT_FDCWD, -100
	path, release := p.String(name)
	fd, errno := p.Call(unix.SYS_OPENAT, cwd, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	release()
	if errno != 0 {
		return errno
	}
	_, errno = p.Call(unix.SYS_SETNS, fd, uintptr(nstype))
	p.Call(unix.SYS_CLOSE, fd)
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
