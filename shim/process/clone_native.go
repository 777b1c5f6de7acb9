//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childStack is far more than the frames of (*Program).child take: the linker
// proves that a chain of nosplit functions fits into 800 bytes.
var childStack [8192]byte

// clone starts the child in the parent's memory, so that nothing is copied. Both run at
// the same time: the parent touches nothing of p until the child has ended. The child has
// its own copy of the signal dispositions, for CLONE_SIGHAND is not among the flags.
//
// Where the kernel knows no such child (qemu-user) it gets a copy of the memory.
func (p *Program) clone() (int, syscall.Errno) {
	stack := (uintptr(unsafe.Pointer(&childStack)) + unsafe.Sizeof(childStack)) &^ 15
	pid, errno := result(clone(unix.CLONE_VM|uintptr(unix.SIGCHLD), stack, p))
	if errno == unix.EINVAL || errno == unix.ENOSYS {
		pid, errno = result(clone(uintptr(unix.SIGCHLD), stack, p))
	}
	return pid, errno
}

// clone is clone(2) with the child on stack. It returns what the kernel does.
//
//go:noescape
func clone(flags, stack uintptr, p *Program) uintptr

// cloned is where clone calls Go in the child.
//
//go:nosplit
//go:norace
//lint:ignore U1000 called from assembly
func cloned(p *Program) { p.child() }
