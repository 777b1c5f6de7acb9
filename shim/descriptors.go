package shim

import "golang.org/x/sys/unix"

// closeInherited closes the descriptors above 2 that this process was started
// with: the child has them too, and an init that keeps a pipe or a socket open
// hides its end from the reader. A descriptor that has the close-on-exec flag
// cannot have come through execve(2), so those are our own and Go's.
func closeInherited() {
	for _, fd := range openDescriptors() {
		if fd <= 2 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			unix.Close(fd)
		}
	}
}

// openDescriptors lists /proc/self/fd, or without /proc every number that could
// be one.
func openDescriptors() []int {
	if fds := numbersIn("/proc/self/fd"); fds != nil {
		return fds
	}
	var fds []int
	limit := unix.Rlimit{Cur: 1024}
	_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	for fd := range int(min(limit.Cur, 1<<16)) {
		fds = append(fds, fd)
	}
	return fds
}
