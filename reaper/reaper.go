// Package reaper owns every wait call of the program. A second waiter would take
// the exit status that the first one is there for.
package reaper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exit is the end of a child, or with [Reap]'s stops a child that has stopped.
type Exit struct {
	PID    int
	Status unix.WaitStatus
}

// Code is the status a shell gives for e: the exit code, or 128 plus the number
// of the signal that ended the process.
func (e Exit) Code() int {
	if e.Status.Signaled() {
		return (128 + int(e.Status.Signal())) % 256
	}
	return e.Status.ExitStatus()
}

// Reap collects the children that have ended, and with stops the ones that have
// stopped, and hands each to fn. A child that is traced by this process is handed over
// when it stops in any case (ptrace(2)). Equal signals coalesce while they are pending
// (signal(7)), so one SIGCHLD can stand for any number of children and Reap goes
// on until there is none. It reports whether any child is left.
//
// Go's runtime is not told of the call, for it does not block, and nothing is allocated:
// an init calls this when there is no runtime and no memory left.
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
