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
	ending uint32 // while this is 1, redirect sets it to 0 at a SIGSEGV from a process, and ends the thread
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
// thread. If the kernel refuses to send the signal (seccomp) or the signal reaches no
// thread (qemu-user), the threads stay, and this process goes on as an ordinary Go
// program.
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
// The thread that takes a signal sets ending to 0 in one step, and then ends. This
// thread gives up in the same way. So a thread that takes the signal later than that
// goes on, and both threads agree on who was first.
//
//go:nosplit
func endThreads(pid uintptr, threads uint32) bool {
	var pending Set
	for i := range threads {
		atomic.StoreUint32(&ending, 1)
		refused := errnoOf(sys(unix.SYS_KILL, pid, uintptr(unix.SIGSEGV), 0, 0, 0, 0)) != 0
		for left := naps; atomic.LoadUint32(&ending) == 1; {
			// If one thread has ended, the others will end too. They only wait for a
			// processor.
			if i == 0 && (refused || left <= 0) && atomic.SwapUint32(&ending, 0) == 1 {
				return false
			}
			sys(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&nap)), 0, 0, 0, 0, 0)
			sys(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), 8, 0, 0, 0, 0)
			if pending.Has(unix.SIGSEGV) {
				left--
			} else {
				left -= takenNap
			}
		}
	}
	return true
}

// mostLocks is more than the number of times that a caller locks the main goroutine to
// its thread. The package cgroup locks it too.
const mostLocks = 8

// naps is the number of naps in which a thread has to take the first signal. They take
// half a second in all, because the kernel makes each nap about 0.1 ms longer. A nap in
// which the signal is no longer pending counts for takenNap. A thread that has taken the
// signal ends at once if it has a processor. On a busy machine it may wait for one, but
// there the naps of this thread take longer too.
const (
	naps     = 3_000
	takenNap = 10
)

var nap = unix.Timespec{Nsec: 50_000}

// growStack grows the goroutine's stack to the largest size that it will need.
//
//go:noinline
func growStack() {
	var frame [32 << 10]byte
	runtime.KeepAlive(&frame)
}
