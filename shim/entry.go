//go:build (amd64 || arm64) && !cgshim_portable

package shim

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The state that an execve(2) hands over and that Go's runtime changes before
// main runs: it installs handlers for nearly every signal (runtime/signal_unix.go,
// initsig), unblocks some on every thread (minitSignalMask), raises the soft
// RLIMIT_NOFILE (syscall/rlimit.go) and opens /dev/null as each of the descriptors
// 0 to 2 that is closed (runtime/fds_unix.go). entry, the ELF entry point set by the
// linker flag -E, records it first, so that the child can be given exactly what
// cgshim was given. In a binary linked without -E `entered` stays 0 and
// inherit.go falls back to what the runtime left.
//
// Then it blocks the signals that Claim will wait for, so that one that comes while
// the runtime and the packages are initialised stays pending instead of ending the
// process. The runtime's threads inherit that mask. They would unblock some of it
// again (runtime/signal_unix.go, blockableSig); keepBlocked takes the reasons for
// that out of the runtime's table (sigtable_*.s). Where it does not, `redirect`
// (signals_native.go) does the work that is left.
//
// GOMEMLIMIT, GODEBUG and their like are the program's, which may be written in Go,
// and not the init's: a value that the runtime does not understand would end it
// before main (runtime/mgcpacer.go, readGOMEMLIMIT). entry has their pointers begin
// at the second letter, and Environ puts them back.
var (
	entered          uint32
	inheritedMask    uint64
	inheritedNofile  [2]uint64 // soft, hard
	inheritedActions [numSignals]sigaction
	inheritedStdio   [3]int64 // of each what F_GETFD answered: negative if it is closed
	inheritedStack   unsafe.Pointer
)

// sigaction is the kernel's struct of rt_sigaction(2), not libc's.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// deferred is what entry blocks: every signal but those that are raised for a fault,
// the scheduler's own SIGURG, and 32 and 33 (see Claim).
var deferred uint64 = ^(faults | 1<<(unix.SIGURG-1) | 1<<(32-1) | 1<<(33-1))

// The assembly steps through inheritedActions by this size.
var _ [32]byte = [unsafe.Sizeof(sigaction{})]byte{}

// entry is named to the linker, not called from Go.
//
//lint:ignore U1000 it is the ELF entry point
func entry()

// keepBlocked is called from entry.
//
//lint:ignore U1000 called from assembly
func keepBlocked()
