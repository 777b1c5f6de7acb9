package pid1

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// detach releases a process that has made this process its tracer by PTRACE_TRACEME, and
// that the kernel has stopped with sig. Otherwise that process would never run again,
// because only its tracer can continue it (ptrace(2)). detach reports whether pid was traced.
//
// The process then gets the signal, as it would without a tracer. The exception is the
// SIGTRAP that the kernel sends to a traced process after execve(2), because no process
// expects that signal. It looks as if the process had sent it to itself.
func detach(pid int, sig Signal) (traced bool, errno syscall.Errno) {
	if sig == unix.SIGTRAP {
		var info siginfo
		call(unix.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(pid), 0, address(&info))
		if info.code == siUser && int(info.pid) == pid {
			sig = 0
		}
	}
	_, errno = call(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, uintptr(sig))
	return errno != unix.ESRCH, errno
}
