//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
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
)

// makeAlarm creates a timer (timer_create(2)). If the kernel refuses, WriteError relies
// on poll(2) alone.
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
	if !haveTimer {
		return
	}
	next := unix.NsecToTimespec(int64(d))
	setting := [2]unix.Timespec{next, next} // the interval and the first time
	sys(unix.SYS_TIMER_SETTIME, uintptr(timer), 0, uintptr(unsafe.Pointer(&setting)), 0, 0, 0)
}
