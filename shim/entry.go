//go:build (amd64 || arm64) && !cgshim_portable

package shim

import "unsafe"

// The state that an execve(2) hands over and that Go's runtime changes before
// main runs: it installs handlers for nearly every signal (runtime/signal_unix.go,
// initsig), unblocks some on every thread (minitSignalMask) and raises the soft
// RLIMIT_NOFILE (syscall/rlimit.go). entry, the ELF entry point set by the
// linker flag -E, records it first, so that the child can be given exactly what
// cgshim was given. In a binary linked without -E `entered` stays 0 and
// inherit.go falls back to what the runtime left.
var (
	entered          uint32
	inheritedMask    uint64
	inheritedNofile  [2]uint64 // soft, hard
	inheritedActions [numSignals]sigaction
)

// sigaction is the kernel's struct of rt_sigaction(2), not libc's.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// The assembly steps through inheritedActions by this size.
var _ [32]byte = [unsafe.Sizeof(sigaction{})]byte{}

// entry is named to the linker, not called from Go.
//
//lint:ignore U1000 it is the ELF entry point
func entry()
