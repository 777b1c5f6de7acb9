// Package reaper makes every wait call of this process while the program runs. A second
// waiter could take the exit status that the first waiter needs. After the end of the
// program process.Ask waits for a child of its own, by its PID.
package reaper

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exit says that a child has ended or stopped.
type Exit struct {
	PID    int
	Status unix.WaitStatus
}

// Code returns the status that a shell reports for e. After a signal the status is 128
// plus the number of the signal.
func (e Exit) Code() int {
	if e.Status.Signaled() {
		return (128 + int(e.Status.Signal())) % 256
	}
	return e.Status.ExitStatus()
}

// Refused returns the errno if a sandbox refuses wait4(2), and 0 otherwise. It asks for a
// child that this process cannot have, which is itself. So it reaps none.
func Refused() unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(unix.Getpid()), 0, unix.WNOHANG, 0, 0, 0)
	if errno == unix.ECHILD {
		return 0
	}
	return errno
}

// Reap reaps the children that have ended and calls fn for each. If stops is true, Reap
// also calls fn for each child that has stopped. If this process traces a child, the
// kernel reports the stops of the child in any case (ptrace(2)).
//
// Equal signals coalesce while they are pending (signal(7)). So one SIGCHLD can stand
// for any number of children, and Reap goes on until the kernel has no child to report.
// Children may end as fast as Reap can reap them, so fn can stop Reap by returning false.
// Reap then returns more, and the caller has to call Reap again without a SIGCHLD.
// Reap also returns whether this process may still have children.
//
// Reap allocates nothing. It does not tell Go's runtime of the system call, which does
// not block. So an init can call Reap after the runtime's threads have ended, and when
// there is no memory.
func Reap(stops bool, fn func(Exit) bool) (left, more bool) {
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
			return false, false
		case pid == 0:
			return true, false
		case !fn(Exit{int(pid), unix.WaitStatus(status)}):
			return true, true
		}
	}
}
