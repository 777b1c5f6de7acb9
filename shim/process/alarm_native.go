//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm is the signal of the timer that interrupts a write. A C library reserves this
// signal for itself (nptl(7)). This process has no C library, and nothing else uses the
// signal.
const alarm Signal = 32

var (
	timer     int32
	haveTimer bool
	armed     bool // the timer runs
)

// makeAlarm creates a timer (timer_create(2)). The kernel refuses if RLIMIT_SIGPENDING is
// exhausted (EAGAIN), which other processes of the user can bring about.
func makeAlarm(handler *sigaction) {
	event := struct {
		value       uint64
		signal, how int32
		thread      int32
		_           [44]byte
	}{signal: int32(alarm), how: 4 /* SIGEV_THREAD_ID */, thread: self}
	setAction(alarm, handler, nil)
	haveTimer = errnoOf(sys(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&timer)), 0, 0, 0)) == 0
}

// setAlarm makes the timer fire after d, and then each time that d has passed again.
// With 0 the timer stops.
func setAlarm(d time.Duration) {
	armed = false
	if !haveTimer {
		return
	}
	next := unix.NsecToTimespec(int64(d))
	setting := [2]unix.Timespec{next, next} // the interval and the first time
	armed = errnoOf(sys(unix.SYS_TIMER_SETTIME, uintptr(timer), 0, uintptr(unsafe.Pointer(&setting)), 0, 0, 0)) == 0
}

// writeUntilAlarm writes p to standard error. The timer interrupts the write. If there is
// no timer, a child makes the write, and this process kills the child after patience. As long as
// the threads of the runtime are there, no program depends on this process yet.
func writeUntilAlarm(p []byte) (written int, errno syscall.Errno) {
	if armed || !alone {
		return write(2, p)
	}
	if writer != 0 && !reaped(writer) {
		return 0, unix.EAGAIN
	}
	// Without a signal the child sends no SIGCHLD, about which there may be a log line.
	if writer, errno = fork(0); errno != 0 {
		writer = 0
		return 0, unix.EAGAIN
	}
	if writer == 0 {
		write(2, p)
		exit()
	}
	for until := Now() + patience; Now() < until; pause(100 * time.Microsecond) {
		if reaped(writer) {
			writer = 0
			return len(p), 0
		}
	}
	if end(writer) {
		writer = 0
	}
	return 0, unix.EAGAIN
}

// writer is the child that writes or that has not been reaped yet, or 0.
var writer int
