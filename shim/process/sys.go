package process

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errnoOf is the errno in what a system call returned, or 0. The kernel returns errors
// as -4095 to -1 (syscall(2), "Architecture calling conventions").
//
//go:nosplit
func errnoOf(result uintptr) syscall.Errno {
	if result > ^uintptr(4095) {
		return syscall.Errno(-result)
	}
	return 0
}

// result splits what a system call returned.
func result(r uintptr) (int, syscall.Errno) {
	if errno := errnoOf(r); errno != 0 {
		return -1, errno
	}
	return int(r), 0
}

// Kill is kill(2). It returns 0 where that succeeds.
func Kill(pid int, sig Signal) syscall.Errno {
	return errnoOf(sys(unix.SYS_KILL, uintptr(pid), uintptr(sig), 0, 0, 0, 0))
}

// Now is the time on a clock that nobody sets (CLOCK_MONOTONIC, clock_gettime(2)).
func Now() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

// WallClock is the time since 1970 in UTC (CLOCK_REALTIME).
func WallClock() time.Duration { return clock(unix.CLOCK_REALTIME) }

func clock(id uintptr) time.Duration {
	var t unix.Timespec
	sys(unix.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&t)), 0, 0, 0, 0)
	return time.Duration(t.Nano())
}

// Chdir is chdir(2).
func Chdir(dir string) syscall.Errno {
	path, err := syscall.BytePtrFromString(dir)
	if err != nil {
		return unix.EINVAL
	}
	return errnoOf(sys(unix.SYS_CHDIR, uintptr(unsafe.Pointer(path)), 0, 0, 0, 0, 0))
}

// SetGroup is setpgid(2).
func SetGroup(pid, group int) syscall.Errno {
	return errnoOf(sys(unix.SYS_SETPGID, uintptr(pid), uintptr(group), 0, 0, 0, 0))
}

// ForegroundGroup is the foreground process group of the terminal fd (tcgetpgrp(3)).
func ForegroundGroup(fd int) (group int, errno syscall.Errno) {
	var g int32
	errno = errnoOf(sys(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPGRP, uintptr(unsafe.Pointer(&g)), 0, 0, 0))
	return int(g), errno
}

// SetForegroundGroup makes group the foreground process group of the terminal fd. With
// SIGTTOU blocked that works from the background too (tcsetpgrp(3)).
func SetForegroundGroup(fd, group int) syscall.Errno {
	old := swapMask(unix.SIG_BLOCK, bit(unix.SIGTTOU))
	g := int32(group)
	errno := errnoOf(sys(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSPGRP, uintptr(unsafe.Pointer(&g)), 0, 0, 0))
	swapMask(unix.SIG_SETMASK, old)
	return errno
}

// Detach lets a process go that made this one its tracer by PTRACE_TRACEME, and that
// the kernel has stopped with sig. Without it the process would never run again: only
// its tracer can continue it (ptrace(2)). It reports whether pid was traced.
//
// The process gets the signal, as it would have without a tracer. The exception is the
// SIGTRAP that the kernel sends a traced process after execve(2): it looks as if the
// process had sent it to itself, and no process expects it.
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

// siginfo is the siginfo_t of a signal that a process sent (sigaction(2)).
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	_                     [104]byte
}

// Values of si_code (sigaction(2)). What the kernel raised for a fault is above zero.
const (
	siUser  = 0
	siTkill = -6
)
