//go:build (amd64 || arm64) && !cgshim_portable

package shim

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// teller is how a child tells its parent what became of it: it writes into the
// parent's memory, so nothing is needed.
type teller struct{}

//go:nosplit
func (teller) tell() {}

// childStack is far more than the frames of (*program).child take: the linker
// proves that a chain of nosplit functions fits into 800 bytes.
var childStack [8192]byte

// fork starts the child as vfork(2) does: in the parent's memory, so that nothing
// is copied, with this thread suspended until the child has executed the program
// or given up. The child has its own copy of the signal dispositions, for
// CLONE_SIGHAND is not among the flags.
func (p *program) fork() (int, syscall.Errno) {
	stack := (uintptr(unsafe.Pointer(&childStack)) + unsafe.Sizeof(childStack)) &^ 15
	pid := vfork(unix.CLONE_VM|unix.CLONE_VFORK|uintptr(unix.SIGCHLD), stack, p)
	if errno := -int(pid); errno > 0 {
		return 0, syscall.Errno(errno)
	}
	return int(pid), 0
}

// vfork is clone(2) with the child on stack. An error is returned as the kernel
// does, as a negative number.
//
//go:noescape
func vfork(flags, stack uintptr, p *program) (pid uintptr)

// vforked is where vfork calls Go in the child.
//
//go:nosplit
//go:norace
//lint:ignore U1000 called from assembly
func vforked(p *program) { p.child() }
