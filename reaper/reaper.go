// Package reaper makes every wait call of the program. A second waiter could take the
// exit status that the first one waits for.
package reaper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exit says that a child has ended, or has stopped if the caller asked [Reap] for
// stops.
type Exit struct {
	PID    int
	Status unix.WaitStatus
}

// Code returns the status that a shell reports for e: the exit code, or 128 plus the
// number of the signal that ended the process.
func (e Exit) Code() int {
	if e.Status.Signaled() {
		return (128 + int(e.Status.Signal())) % 256
	}
	return e.Status.ExitStatus()
}

// Reap reaps the children that have ended and calls fn for each. With stops it also
// calls fn for each child that has stopped. For a child that this process traces, it
// always reports stops (ptrace(2)). Equal signals coalesce while they are pending
// (signal(7)). One SIGCHLD can therefore stand for any number of children, and Reap
// goes on until none is left to report. It returns whether this process still has
// children.
//
// Reap allocates nothing, and it does not tell Go's runtime of the call, which does not
// block. An init calls Reap when it has no runtime and no memory left.
func Reap(stops bool, fn func(Exit)) (left bool) {
	options := uintptr(unix.WNOHANG)
	if stops {
		options |= unix.WUNTRACED
	}
	const any = ^uintptr(0)
	for {
		var status uint32
		pid, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, any, uintptr(unsafe.Pointer(&status)), options, 0, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0: // ECHILD
			return false
		case pid == 0:
			return true
		default:
			fn(Exit{int(pid), unix.WaitStatus(status)})
		}
	}
}
