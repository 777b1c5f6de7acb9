package process

import (
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errnoOf returns the errno in the result of a system call, or 0. The kernel returns an
// error as a number from -4095 to -1 (syscall(2), "Architecture calling conventions").
//
//go:nosplit
func errnoOf(result uintptr) syscall.Errno {
	if result > ^uintptr(4095) {
		return syscall.Errno(-result)
	}
	return 0
}

// result splits the result of a system call into a value and an errno.
func result(r uintptr) (int, syscall.Errno) {
	if errno := errnoOf(r); errno != 0 {
		return -1, errno
	}
	return int(r), 0
}

// Kill calls kill(2). It returns 0 on success.
func Kill(pid int, sig Signal) syscall.Errno {
	return errnoOf(sys(unix.SYS_KILL, uintptr(pid), uintptr(sig), 0, 0, 0, 0))
}

// Now returns the time of a clock that no process can set (CLOCK_MONOTONIC,
// clock_gettime(2)).
func Now() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

// WallClock returns the time since 1970 in UTC (CLOCK_REALTIME).
func WallClock() time.Duration { return clock(unix.CLOCK_REALTIME) }

func clock(id uintptr) time.Duration {
	var t unix.Timespec
	sys(unix.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&t)), 0, 0, 0, 0)
	return time.Duration(t.Nano())
}

// Chdir calls chdir(2). It allocates nothing.
func Chdir(dir string) syscall.Errno {
	var path [unix.PathMax]byte
	switch {
	case strings.IndexByte(dir, 0) >= 0:
		return unix.EINVAL
	case len(dir) >= len(path):
		return unix.ENAMETOOLONG
	}
	copy(path[:], dir)
	return errnoOf(sys(unix.SYS_CHDIR, uintptr(unsafe.Pointer(&path)), 0, 0, 0, 0, 0))
}

// ppoll calls ppoll(2) for one descriptor. The kernel subtracts the time of the wait from
// limit.
func ppoll(ready *unix.PollFd, limit *unix.Timespec) (count int, errno syscall.Errno) {
	return result(sys(unix.SYS_PPOLL, uintptr(unsafe.Pointer(ready)), 1, uintptr(unsafe.Pointer(limit)), 0, 0, 0))
}

// SetGroup calls setpgid(2).
func SetGroup(pid, group int) syscall.Errno {
	return errnoOf(sys(unix.SYS_SETPGID, uintptr(pid), uintptr(group), 0, 0, 0, 0))
}

// ForegroundGroup returns the foreground process group of the terminal fd
// (tcgetpgrp(3)).
func ForegroundGroup(fd int) (group int, errno syscall.Errno) {
	var g int32
	errno = errnoOf(sys(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPGRP, uintptr(unsafe.Pointer(&g)), 0, 0, 0))
	return int(g), errno
}

// SetForegroundGroup makes group the foreground process group of the terminal fd. It
// blocks SIGTTOU, so it works from the background too (tcsetpgrp(3)).
func SetForegroundGroup(fd, group int) syscall.Errno {
	old := swapMask(unix.SIG_BLOCK, bit(unix.SIGTTOU))
	g := int32(group)
	errno := errnoOf(sys(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSPGRP, uintptr(unsafe.Pointer(&g)), 0, 0, 0))
	swapMask(unix.SIG_SETMASK, old)
	return errno
}

// Detach releases a process that has made this process its tracer by PTRACE_TRACEME,
// and that the kernel has stopped with sig. Otherwise that process would never run
// again, because only its tracer can continue it (ptrace(2)). Detach reports whether
// pid was traced.
//
// The process then gets the signal, as it would without a tracer. The exception is the
// SIGTRAP that the kernel sends to a traced process after execve(2), because no process
// expects that signal. It looks as if the process had sent it to itself.
func Detach(pid int, sig Signal) (traced bool, errno syscall.Errno) {
	if sig == unix.SIGTRAP {
		var info [128]byte
		sys(unix.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(pid), 0, uintptr(unsafe.Pointer(&info)), 0, 0)
		sent := (*siginfo)(unsafe.Pointer(&info))
		if sent.code == siUser && int(sent.pid) == pid {
			sig = 0
		}
	}
	errno = errnoOf(sys(unix.SYS_PTRACE, unix.PTRACE_DETACH, uintptr(pid), 0, uintptr(sig), 0, 0))
	return errno != unix.ESRCH, errno
}

// siginfo is a siginfo_t for a signal that a process sent (sigaction(2)).
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	_                     [104]byte
}

// Values of si_code (sigaction(2)). A signal that the kernel raised for a fault has a
// value above zero.
const (
	siUser  = 0
	siTkill = -6
)
