package shim

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// listDescriptors lists the descriptors that PID 1 has inherited and has to close after the
// start. A descriptor that came through execve(2) has no close-on-exec flag, and every
// descriptor of this process has one.
//
// A process loses its POSIX locks on a file as soon as it closes any descriptor of the file
// (fcntl(2)). A program that locked a file before it became cgshim wants to keep the lock. So
// the descriptors of locked files stay open.
func (j *job) listDescriptors() {
	names, err := entries("/proc/self/fd")
	if err != nil {
		j.listWithoutProc()
		return
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil {
			j.listDescriptor(fd)
		}
	}
}

// listWithoutProc looks for the first descriptors, because the number of all possible
// descriptors may be large.
func (j *job) listWithoutProc() {
	for fd := range 1024 {
		j.listDescriptor(fd)
	}
}

func (j *job) listDescriptor(fd int) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if fd > 2 && err == nil && flags&unix.FD_CLOEXEC == 0 && !(procIsOurs() && locked(j.orders.PID, fd)) {
		j.orders.Close(fd)
	}
}

// locked reports whether a process holds a lock on the file of a descriptor
// (proc_pid_fdinfo(5)).
func locked(pid, fd int) bool {
	info, _ := readFile("/proc/" + strconv.Itoa(pid) + "/fdinfo/" + strconv.Itoa(fd))
	return strings.Contains(info, "\nlock:")
}
