//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clone starts the child as fork(2) does, in a copy of the parent's memory.
//
//go:noinline
//go:norace
func (p *Program) clone() (int, syscall.Errno) {
	flags, stack := uintptr(unix.SIGCHLD), uintptr(0)
	if runtime.GOARCH == "s390x" { // this architecture swaps the first two arguments (clone(2))
		flags, stack = stack, flags
	}
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags, stack, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		p.child()
	}
	return int(pid), errno
}

// pause sleeps.
func pause(d time.Duration) { time.Sleep(d) }
