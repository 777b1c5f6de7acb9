//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

var (
	alone  bool
	ending uint32 // redirect ends a thread that gets SIGSEGV from a process
	ended  uint32 // how many it has ended
)

func resetStackGuard()

// limitRuntime does what enter asks the runtime for by variables, in a binary that was
// linked without it.
func limitRuntime() {
	if !entered {
		runtime.GOMAXPROCS(1)
		debug.SetGCPercent(-1)
	}
}

// Alone ends every thread of this process but the calling one, the main thread. What is
// left is a process of one thread, as a C program is.
//
// The threads are the runtime's: the monitor that wakes up to look for work, and
// threads that wait for a goroutine to run. There is none to run. While they are there
// the runtime may decide at any system call that it needs one more, and ends the process
// where the kernel refuses that (runtime, newosproc).
//
// From here on the main goroutine goes on as ordinary Go code with some rules, which the
// callers keep: system calls go through sys, for the runtime's own way would ask for the
// scheduler, and nothing is allocated, for there is no collector. The stack is large
// enough already, and nothing asks the goroutine to yield.
//
// A signal that this process sends to itself goes to any thread that does not block it.
// The runtime has SIGSEGV unblocked in all its threads. Where the signal reaches none of
// them (qemu-user) they stay, and this process goes on as an ordinary Go program.
func Alone() {
	if alone {
		return
	}
	growStack()
	threads, _ := runtime.ThreadCreateProfile(nil) // it counts, the main thread too
	old := swapMask(unix.SIG_BLOCK, faults)
	alone = endThreads(uintptr(os.Getpid()), uint32(threads-1))
	swapMask(unix.SIG_SETMASK, old)
}

// endThreads ends so many threads and reports whether it did: all or none. As long as it
// runs this thread must not yield: the scheduler would hand over to a thread that has
// ended. A function that does not check its stack does not yield.
//
//go:nosplit
func endThreads(pid uintptr, threads uint32) bool {
	atomic.StoreUint32(&ending, 1)
	for i := uint32(1); i <= threads; i++ {
		sys(unix.SYS_KILL, pid, uintptr(unix.SIGSEGV), 0, 0, 0, 0)
		for try := 0; atomic.LoadUint32(&ended) < i; try++ {
			// Where one thread has ended the others will: they only wait for a processor.
			if try == tries && atomic.LoadUint32(&ended) == 0 {
				atomic.StoreUint32(&ending, 0)
				sys(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0, 0, 0, 0)
				if atomic.LoadUint32(&ended) == 0 {
					return false
				}
				atomic.StoreUint32(&ending, 1)
			}
			sys(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0, 0, 0, 0)
		}
	}
	atomic.StoreUint32(&ending, 0)
	resetStackGuard()
	return true
}

// A thread has half a second to take its signal.
const tries = 10_000

var nap = unix.Timespec{Nsec: 50_000}

// growStack makes the goroutine's stack as large as it will ever have to be.
//
//go:noinline
func growStack() {
	var frame [32 << 10]byte
	runtime.KeepAlive(&frame)
}
