//go:build !(amd64 || arm64) || cgshim_portable

package shim

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// teller is how a child tells its parent what became of it: through a pipe, the
// descriptor of whose write end this is.
type teller int

//go:nosplit
//go:norace
func (p *program) tell() {
	message := [2]uint32{uint32(p.errno)}
	if p.viaShell {
		message[1] = 1
	}
	syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.teller), uintptr(unsafe.Pointer(&message)), unsafe.Sizeof(message))
}

// fork starts the child as fork(2) does, in a copy of the parent's memory, and
// returns when it has executed the program or given up: both close the pipe.
//
//go:noinline
//go:norace
func (p *program) fork() (int, syscall.Errno) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return 0, err.(syscall.Errno)
	}
	defer unix.Close(pipe[0])
	p.teller = teller(pipe[1])
	flags, stack := uintptr(unix.SIGCHLD), uintptr(0)
	if runtime.GOARCH == "s390x" { // clone(2): the first two arguments change places
		flags, stack = stack, flags
	}
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, flags, stack, 0, 0, 0, 0)
	if errno == 0 && pid == 0 {
		p.child()
	}
	unix.Close(pipe[1])
	for errno == 0 {
		var message [2]uint32
		n, err := unix.Read(pipe[0], unsafe.Slice((*byte)(unsafe.Pointer(&message)), unsafe.Sizeof(message)))
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			break
		}
		p.errno, p.viaShell = syscall.Errno(message[0]), message[1] != 0
	}
	return int(pid), errno
}
