// Package reaper owns every wait call of the program. A second waiter would take
// the exit status that the first one is there for.
package reaper

import "golang.org/x/sys/unix"

// Exit is the end of a child.
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
// stopped, and hands each to fn. Equal signals coalesce while they are pending
// (signal(7)), so one SIGCHLD can stand for any number of children and Reap goes
// on until there is none. It reports whether any child is left.
func Reap(stops bool, fn func(Exit)) (left bool) {
	options := unix.WNOHANG
	if stops {
		options |= unix.WUNTRACED
	}
	for {
		var e Exit
		pid, err := unix.Wait4(-1, &e.Status, options, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil: // ECHILD
			return false
		case pid == 0:
			return true
		}
		e.PID = pid
		fn(e)
	}
}

// Await collects the child pid and nothing else: it has already ended or is
// about to.
func Await(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}
