//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// What an execve(2) hands over and Go's runtime changes before main runs: it installs
// handlers for nearly every signal (runtime/signal_unix.go, initsig), unblocks some of
// them on every thread (minitSignalMask), raises the soft RLIMIT_NOFILE
// (syscall/rlimit.go) and opens /dev/null as each of the descriptors 0 to 2 that is
// closed (runtime/fds_unix.go). entry, the ELF entry point by the linker flag -E, has
// enter record all of it first. In a binary that was linked without -E `entered` stays
// false, and inherit.go falls back to what the runtime has left.
var (
	entered          bool
	inheritedMask    Set
	inheritedActions [numSignals]sigaction
	inheritedStdio   [3]bool // is open
	inheritedEnv     unsafe.Pointer
	inheritedLimits  [len(limits)]limit

	//lint:ignore U1000 used by entry_amd64.s
	scratchTLS [16]byte
	probed     uint32   // entry_*.s
)

// sigaction is the kernel's struct of rt_sigaction(2), not libc's.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     Set
}

// limit is a struct rlimit (prlimit(2)).
type limit struct{ soft, hard uint64 }

// limits are the resource limits that a Go program needs more of than a C program does:
// its runtime reserves address space for a heap of any size, and this process needs some
// descriptors for a delegation. enter raises them as far as it may, for this process
// alone. Below least the runtime would end the process with a trace, so enter says why it
// ends. The values were measured by test/starved.
var limits = [...]struct {
	resource uintptr
	enough   uint64
	least    uint64
	message  string
}{
	{unix.RLIMIT_NOFILE, 64, 0, ""},
	{unix.RLIMIT_AS, 1 << 30, 760 << 20, "cgshim: cannot start: the limit of address space (RLIMIT_AS, ulimit -v) is below 760 MB: raise it\n"},
	{unix.RLIMIT_DATA, 128 << 20, 64 << 20, "cgshim: cannot start: the limit of data (RLIMIT_DATA, ulimit -d) is below 64 MB: raise it\n"},
}

const threadsMessage = "cgshim: cannot start: no room for 3 threads: raise the limit of processes (--pids-limit, pids.max, RLIMIT_NPROC)\n"

// own are variables of this process's own Go runtime. It takes the first of a name
// (runtime/env_posix.go, gogetenv), and these come first.
//
//   - One processor: the runtime makes fewer threads.
//   - No collector: what start-up allocates is all that is allocated.
//   - No preemption: SIGURG is free for the program.
//   - No trace of goroutines where the runtime ends the process: one line is enough.
var own = [slots]string{"GOMAXPROCS=1\x00", "GOGC=off\x00", "GODEBUG=asyncpreemptoff=1\x00", "GOTRACEBACK=none\x00"}

// slots is how many words entry_*.s makes room for.
const slots = 4

// enter runs before the runtime, on the kernel's stack: no allocation, no stack growth,
// no panic. vector is where the kernel put argc, the arguments, a null pointer, the
// environment and a null pointer (System V ABI, "Initial Stack and Register State").
// Behind enter's own frame the stack has `slots` free words below vector.
//
//go:nosplit
//go:norace
//lint:ignore U1000 called from assembly
func enter(vector unsafe.Pointer) {
	inheritSignals()
	inheritStdio()
	raiseLimits()
	probeThreads()

	const word = unsafe.Sizeof(uintptr(0))
	argc := *(*uintptr)(vector)
	inheritedEnv = unsafe.Add(vector, (argc+2)*word)
	// The arguments move down, and own comes before the environment.
	for i := uintptr(0); i < argc+2; i++ {
		*(*uintptr)(unsafe.Add(vector, i*word-slots*word)) = *(*uintptr)(unsafe.Add(vector, i*word))
	}
	for i := range own {
		*(*uintptr)(unsafe.Add(inheritedEnv, uintptr(i)*word-slots*word)) = uintptr(unsafe.Pointer(unsafe.StringData(own[i])))
	}
	hideVariables()
	entered = true
}

// inheritSignals records the signal mask and the dispositions. Then it blocks the
// signals that Claim will wait for, so that a signal that comes while the runtime starts
// stays pending instead of ending the process.
//
//go:nosplit
//go:norace
func inheritSignals() {
	sys(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, 0, uintptr(unsafe.Pointer(&inheritedMask)), 8, 0, 0)
	for sig := uintptr(1); sig < numSignals; sig++ {
		sys(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&inheritedActions[sig])), 8, 0, 0)
	}
	sys(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&blockedAtEntry)), 0, 8, 0, 0)
	keepBlocked()
}

// blockedAtEntry is every signal but those that the kernel raises for a fault, the
// scheduler's own SIGURG, and the C library's (see Claim).
var blockedAtEntry = ^(faults | 1<<(unix.SIGURG-1) | libc)

// keepBlocked has the runtime leave these signals blocked in the threads that it makes.
// The runtime unblocks a signal that has one of the flags _SigKill, _SigThrow and
// _SigUnblock in its table (runtime/signal_unix.go, blockableSig). keepBlocked takes
// these flags out, if the table looks as it does in the Go releases that were tried.
// Where it does not, `redirect` (signals_native.go) does the work that is left.
//
//go:nosplit
//go:norace
func keepBlocked() {
	type row struct { // runtime.sigTabT
		flags int32
		_     string // its name
	}
	const (
		sigNotify, sigKill, sigThrow, sigIgn, sigUnblock = 1, 2, 4, 0x100, 0x80
	)
	table := (*[numSignals]row)(sigtable())
	if table == nil || table[unix.SIGTERM].flags != sigNotify|sigKill || table[unix.SIGCHLD].flags != sigNotify|sigUnblock|sigIgn {
		return
	}
	for sig := Signal(1); sig < numSignals; sig++ {
		if blockedAtEntry.Has(sig) {
			table[sig].flags &^= sigKill | sigThrow | sigUnblock
		}
	}
}

// sigtable is the address of the runtime's table of signals, or nil in a binary whose
// linker does not let assembly name it (runtime_release.go).
func sigtable() unsafe.Pointer

// inheritStdio records which of the standard descriptors are open. The runtime ends the
// process where one is closed and /dev/null cannot be opened in its place. So enter puts
// one there that can be neither read nor written (open(2), O_PATH).
//
//go:nosplit
//go:norace
func inheritStdio() {
	for fd := range inheritedStdio {
		inheritedStdio[fd] = errnoOf(sys(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFD, 0, 0, 0, 0)) == 0
		if !inheritedStdio[fd] { // the lowest free number: it becomes fd
			sys(unix.SYS_OPENAT, atCwd, uintptr(unsafe.Pointer(unsafe.StringData(rootDir))), unix.O_PATH, 0, 0, 0)
		}
	}
}

const (
	rootDir = "/\x00"
	atCwd   = ^uintptr(99) // AT_FDCWD, -100
)

//go:nosplit
//go:norace
func raiseLimits() {
	for i := range limits {
		l, old := &limits[i], &inheritedLimits[i]
		sys(unix.SYS_PRLIMIT64, 0, l.resource, 0, uintptr(unsafe.Pointer(old)), 0, 0)
		now := old.soft
		if now < l.enough {
			now = setLimit(l.resource, limit{min(old.hard, l.enough), old.hard}, now)
		}
		if now < l.enough { // takes CAP_SYS_RESOURCE (prlimit(2))
			now = setLimit(l.resource, limit{l.enough, max(old.hard, l.enough)}, now)
		}
		if now < l.least {
			giveUp(l.message)
		}
	}
}

// setLimit returns the soft limit after trying to set a new one.
//
//go:nosplit
//go:norace
func setLimit(resource uintptr, to limit, before uint64) uint64 {
	if errnoOf(sys(unix.SYS_PRLIMIT64, 0, resource, uintptr(unsafe.Pointer(&to)), 0, 0, 0)) != 0 {
		return before
	}
	return to.soft
}

// probeThreads ends the process with a message where the runtime would do so with a
// trace: it needs two threads besides the main one.
//
//go:nosplit
//go:norace
func probeThreads() {
	for range 2 {
		if errnoOf(probeThread()) != 0 {
			giveUp(threadsMessage)
		}
	}
	probed = 1
	const futexWakePrivate = 129
	sys(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&probed)), futexWakePrivate, 2, 0, 0, 0)
}

func probeThread() uintptr

//go:nosplit
//go:norace
func giveUp(message string) {
	sys(unix.SYS_WRITE, 2, uintptr(unsafe.Pointer(unsafe.StringData(message))), uintptr(len(message)), 0, 0, 0)
	for {
		sys(unix.SYS_EXIT_GROUP, 1, 0, 0, 0, 0, 0)
	}
}

// hideVariables keeps GOMEMLIMIT, GODEBUG and their like from the runtime of this
// process. They are the program's, which may be written in Go. A value that the runtime
// does not understand would end this process before main (runtime/mgcpacer.go,
// readGOMEMLIMIT). Their pointers begin at the second letter from here on, and Environ
// puts them back. GOCOVERDIR is this process's too: it says where a binary that was
// built with -cover leaves its counts.
//
//go:nosplit
//go:norace
func hideVariables() {
	for p := inheritedEnv; *(*uintptr)(p) != 0; p = unsafe.Add(p, unsafe.Sizeof(uintptr(0))) {
		start := *(**[11]byte)(p)
		if start[0] == 'G' && start[1] == 'O' && !isCoverDir(start) {
			*(*uintptr)(p)++
		}
	}
}

//go:nosplit
//go:norace
func isCoverDir(start *[11]byte) bool {
	const name = "GOCOVERDIR="
	for i := range len(name) {
		if start[i] != name[i] { // stops at the end of a shorter string
			return false
		}
	}
	return true
}

// entry is named to the linker, not called from Go.
//
//lint:ignore U1000 it is the ELF entry point
func entry()
