// Package reaper makes every wait call of this process. A second waiter could take the exit
// status that the first waiter needs.
//
// But for [Pause] the functions allocate nothing and need nothing of Go's runtime, because
// PID 1 calls them.
package reaper

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/internal/sys"
)

// Exit says that a child has ended or stopped.
type Exit struct {
	PID    int
	Status uint32 // as wait4(2) returns it
}

// Signaled reports whether a signal ended the child.
func (e Exit) Signaled() bool { return e.Status&0x7f != 0 && e.Status&0x7f != 0x7f }

// Signal returns the signal that ended the child.
func (e Exit) Signal() syscall.Signal { return syscall.Signal(e.Status & 0x7f) }

// Core reports whether the kernel dumped the memory of the child.
func (e Exit) Core() bool { return e.Status&0x80 != 0 }

// Stopped reports whether the child has stopped and not ended.
func (e Exit) Stopped() bool { return e.Status&0xff == 0x7f }

// StopSignal returns the signal that stopped the child.
func (e Exit) StopSignal() syscall.Signal { return syscall.Signal(e.Status >> 8 & 0xff) }

// Code returns the status that a shell reports for e. After a signal the status is 128
// plus the number of the signal.
func (e Exit) Code() int {
	if e.Signaled() {
		return int(128+e.Status&0x7f) & 0xff
	}
	return int(e.Status >> 8 & 0xff)
}

// Next reaps one child that has ended. If stops is true, it also returns a child that has
// stopped. If this process traces a child, the kernel reports the stops of the child in any
// case (ptrace(2)). The PID is 0 if there is none. left reports whether this process may
// still have children.
//
// Equal signals coalesce while they are pending (signal(7)). So one SIGCHLD can stand for
// any number of children, and the caller has to call Next until the PID is 0.
func Next(stops bool) (e Exit, left bool) {
	options := uintptr(unix.WNOHANG)
	if stops {
		options |= unix.WUNTRACED
	}
	e, errno := wait(-1, options)
	return e, errno == 0
}

// Await waits until the child pid has ended or stopped. It fails with ECHILD if pid is no
// child.
func Await(pid int) (Exit, syscall.Errno) { return wait(pid, unix.WUNTRACED) }

// Look is like Await, but it does not wait. Without a change of the child, the PID is 0.
func Look(pid int) (Exit, syscall.Errno) { return wait(pid, unix.WUNTRACED|unix.WNOHANG) }

// Gone reaps the child pid if it has ended, and reports whether it is gone. Without __WALL
// wait4(2) does not find a child that sends another signal than SIGCHLD (wait(2)).
func Gone(pid int) bool {
	e, _ := wait(pid, unix.WNOHANG|unix.WALL)
	return e.PID != 0
}

func wait(pid int, options uintptr) (e Exit, errno syscall.Errno) {
	for {
		var status uint32
		r := sys.Call(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), options, 0, 0, 0)
		switch errno := sys.Errno(r); errno {
		case unix.EINTR:
		case 0:
			return Exit{int(r), status}, 0
		default:
			return Exit{-1, 0}, errno
		}
	}
}

// Refused returns the errno if a sandbox refuses wait4(2), and 0 otherwise. It asks for a
// child that this process cannot have, which is itself. So it reaps none.
func Refused() syscall.Errno {
	self := sys.Call(unix.SYS_GETPID, 0, 0, 0, 0, 0, 0)
	_, errno := wait(int(self), unix.WNOHANG)
	if errno == unix.ECHILD {
		return 0
	}
	return errno
}
