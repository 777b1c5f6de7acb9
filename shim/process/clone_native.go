//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childStack is far larger than the frames of (*Program).child. The linker proves that
// a chain of nosplit functions fits into 800 bytes.
var childStack [8192]byte

// clone starts the child in the memory of the parent, so the kernel copies nothing. The
// child and the parent run at the same time, and the parent does not touch p until the
// child has ended.
// The child has its own copy of the signal dispositions, because CLONE_SIGHAND is not
// among the flags.
//
// If the kernel cannot share memory in this way (qemu-user), the child gets a copy.
func (p *Program) clone() (int, syscall.Errno) {
	stack := (uintptr(unsafe.Pointer(&childStack)) + unsafe.Sizeof(childStack)) &^ 15
	pid, errno := result(clone(unix.CLONE_VM|uintptr(unix.SIGCHLD), stack, p))
	if errno == unix.EINVAL || errno == unix.ENOSYS {
		pid, errno = result(clone(uintptr(unix.SIGCHLD), stack, p))
	}
	return pid, errno
}

// clone calls clone(2). The child runs on stack. clone returns the kernel's result.
//
//go:noescape
func clone(flags, stack uintptr, p *Program) uintptr

// cloned is the Go function that clone calls in the child.
//
//go:nosplit
//go:norace
//lint:ignore U1000 called from assembly
func cloned(p *Program) { p.child() }
