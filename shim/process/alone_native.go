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
	ending uint32 // while this is 1, redirect ends a thread that gets SIGSEGV from a process
	ended  uint32 // number of threads that redirect has ended
)

func resetStackGuard()

// limitRuntime makes the runtime create fewer threads and turns the garbage collector
// off. In a binary with the ELF entry point, enter has done so by environment variables
// (own).
func limitRuntime() {
	if !entered {
		runtime.GOMAXPROCS(1)
		debug.SetGCPercent(-1)
	}
}

// Alone ends every thread of this process but the caller, which is the main thread. The
// process then has one thread, as a C program has.
//
// The other threads belong to Go's runtime. One is the monitor, and the others wait for
// a goroutine to run, although there is none. As long as they exist, the runtime may
// decide at any system call that it needs another thread. If the kernel refuses to
// create it, the runtime ends the process (runtime, newosproc).
//
// After Alone the main goroutine still runs ordinary Go code, which keeps two rules.
// System calls go through sys, because the runtime's own way would call the scheduler.
// Nothing allocates memory, because no collector runs. The stack is large enough
// already, and no other thread asks the goroutine to yield.
//
// Alone sends SIGSEGV to this process once for each thread. The kernel gives the signal
// to any thread that does not block SIGSEGV. The main thread blocks SIGSEGV, and the
// runtime unblocks it in all its other threads. There the handler `redirect` ends the
// thread. If the signal reaches no thread (qemu-user), the threads stay, and this
// process goes on as an ordinary Go program.
func Alone() {
	if alone {
		return
	}
	growStack()
	threads, _ := runtime.ThreadCreateProfile(nil) // returns the number of threads, with the main thread
	old := swapMask(unix.SIG_BLOCK, faults)
	if endThreads(uintptr(os.Getpid()), uint32(threads-1)) {
		// The monitor may have asked this goroutine to yield. A goroutine that is locked
		// to its thread would hand over to a thread that has ended. Without the lock the
		// goroutine yields to itself, on the only thread.
		resetStackGuard()
		unlockMainThread()
		for range mostLocks {
			runtime.UnlockOSThread() // once for each lock, and nothing without one
		}
		alone = true
	}
	swapMask(unix.SIG_SETMASK, old)
}

// endThreads ends this number of threads, all of them or none, and reports whether it
// did. This thread must not yield meanwhile, because the scheduler would hand over to a
// thread that has ended. A function that does not check its stack (nosplit) does not
// yield.
//
//go:nosplit
func endThreads(pid uintptr, threads uint32) bool {
	atomic.StoreUint32(&ending, 1)
	for i := uint32(1); i <= threads; i++ {
		sys(unix.SYS_KILL, pid, uintptr(unix.SIGSEGV), 0, 0, 0, 0)
		for try := 0; atomic.LoadUint32(&ended) < i; try++ {
			// If one thread has ended, the others will end too. They only wait for a
			// processor.
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
	return true
}

// mostLocks is more than the number of times that a caller locks the main goroutine to
// its thread. The package cgroup locks it too.
const mostLocks = 8

// tries is the number of naps, half a second in all, in which the first thread has to
// end.
const tries = 10_000

var nap = unix.Timespec{Nsec: 50_000}

// growStack grows the goroutine's stack to the largest size that it will need.
//
//go:noinline
func growStack() {
	var frame [32 << 10]byte
	runtime.KeepAlive(&frame)
}
