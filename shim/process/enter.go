//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// execve(2) hands a process some state that Go's runtime changes before main runs. The
// runtime installs handlers for nearly every signal (runtime/signal_unix.go, initsig)
// and unblocks some signals on every thread (minitSignalMask). It raises the soft
// RLIMIT_NOFILE (syscall/rlimit.go), and it opens /dev/null as each of the descriptors
// 0 to 2 that is closed (runtime/fds_unix.go). The linker flag -E makes entry the ELF
// entry point. entry calls enter, which records the state before the runtime starts. In
// a binary without -E, `entered` stays false, and inherit.go uses the part of the state
// that the runtime has left.
var (
	entered          bool
	inheritedMask    Set
	inheritedActions [numSignals]sigaction
	inheritedStdio   [3]bool // whether the descriptor is open
	inheritedEnv     unsafe.Pointer
	inheritedLimits  [len(limits)]limit
	limitKnown       [len(limits)]bool // whether the kernel has told the limit

	//lint:ignore U1000 used by entry_amd64.s
	scratchTLS [16]byte
	probed     uint32 // when this is 1, the threads of probeThread end (entry_*.s)
)

// sigaction is the struct of rt_sigaction(2), which differs from libc's.
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     Set
}

// limit is a struct rlimit (prlimit(2)).
type limit struct{ soft, hard uint64 }

// limits are the resource limits that a Go program exceeds earlier than a C program.
// The runtime reserves address space for a heap of any size, and a delegation needs
// some descriptors. enter raises these limits as far as it may, for this process alone.
// If a limit is below least, the runtime would end the process with a trace. enter ends
// the process with a message instead. test/starved measured the values.
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

const threadsMessage = "cgshim: cannot start: no room for 4 threads: raise the limit of processes (--pids-limit, pids.max, RLIMIT_NPROC)\n"

// own has environment variables for the Go runtime of this process. enter puts them
// first, because the runtime uses the first variable of a name (runtime/env_posix.go,
// gogetenv).
//
//   - GOMAXPROCS=1 makes the runtime create fewer threads.
//   - GOGC=off turns the collector off, because nothing is allocated after start-up.
//   - asyncpreemptoff=1 keeps the scheduler from sending SIGURG, so that a SIGURG is
//     meant for the program.
//   - GOTRACEBACK=none makes the runtime print no trace after a panic (oneLine).
var own = [slots]string{"GOMAXPROCS=1\x00", "GOGC=off\x00", "GODEBUG=asyncpreemptoff=1\x00", "GOTRACEBACK=none\x00"}

// slots is the number of words that entry_*.s makes room for.
const slots = 4

// enter runs before the runtime, on the stack that the kernel has made. So enter may not
// allocate, grow the stack or panic. The kernel has put argc, the arguments, a null
// pointer, the environment and a null pointer at vector (System V ABI, "Initial Stack
// and Register State"). Between vector and enter's own frame the stack has `slots` free
// words.
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
	// Move the arguments down, and put own before the environment.
	for i := uintptr(0); i < argc+2; i++ {
		*(*uintptr)(unsafe.Add(vector, i*word-slots*word)) = *(*uintptr)(unsafe.Add(vector, i*word))
	}
	for i := range own {
		*(*uintptr)(unsafe.Add(inheritedEnv, uintptr(i)*word-slots*word)) = uintptr(unsafe.Pointer(unsafe.StringData(own[i])))
	}
	hideVariables()
	overrideWrite = oneLine
	entered = true
}

// inheritSignals records the signal mask and the dispositions. Then it blocks the
// signals that Claim will wait for. So a signal that arrives while the runtime starts
// stays pending and does not end the process.
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

// blockedAtEntry has every signal except three kinds. The kernel raises the faults, the
// scheduler uses SIGURG, and Claim says why the signals of the C library stay unblocked.
var blockedAtEntry = ^(faults | 1<<(unix.SIGURG-1) | libc)

// keepBlocked makes the runtime leave these signals blocked in the threads that it
// creates. The runtime unblocks a signal if its table has one of the flags _SigKill,
// _SigThrow and _SigUnblock for it (runtime/signal_unix.go, blockableSig). keepBlocked
// clears these flags if the table looks as it does in the Go releases that were tried.
// If the table looks different, `redirect` (signals_native.go) queues the signals that
// reach another thread.
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

// sigtable returns the address of the runtime's table of signals. It returns nil if the
// linker does not let assembly name the table (runtime_release.go).
func sigtable() unsafe.Pointer

// inheritStdio records which of the standard descriptors are open. In place of a closed
// descriptor the runtime would open /dev/null, or end the process if that fails. So
// inheritStdio opens a descriptor there first, which can be neither read nor written
// (open(2), O_PATH).
//
//go:nosplit
//go:norace
func inheritStdio() {
	for fd := range inheritedStdio {
		inheritedStdio[fd] = errnoOf(sys(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFD, 0, 0, 0, 0)) == 0
		if !inheritedStdio[fd] { // open uses the lowest free number, which is fd
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
		if errnoOf(sys(unix.SYS_PRLIMIT64, 0, l.resource, 0, uintptr(unsafe.Pointer(old)), 0, 0)) != 0 {
			continue // a seccomp profile refuses the call
		}
		limitKnown[i] = true
		now := old.soft
		if now < l.enough {
			now = setLimit(l.resource, limit{min(old.hard, l.enough), old.hard}, now)
		}
		if now < l.enough { // needs CAP_SYS_RESOURCE (prlimit(2))
			now = setLimit(l.resource, limit{l.enough, max(old.hard, l.enough)}, now)
		}
		if now < l.least {
			giveUp(l.message)
		}
	}
}

// setLimit tries to set a limit and returns the soft limit afterwards.
//
//go:nosplit
//go:norace
func setLimit(resource uintptr, to limit, before uint64) uint64 {
	if errnoOf(sys(unix.SYS_PRLIMIT64, 0, resource, uintptr(unsafe.Pointer(&to)), 0, 0, 0)) != 0 {
		return before
	}
	return to.soft
}

// probeThreads creates three threads, because the runtime needs up to three besides the
// main thread. These are the monitor and two that take turns with the main thread in
// gcenable (runtime/mgc.go), where the main thread waits twice. If the kernel refuses,
// probeThreads ends the process with a message.
//
//go:nosplit
//go:norace
func probeThreads() {
	const threads = 3
	for range threads {
		if errnoOf(probeThread()) != 0 {
			giveUp(threadsMessage)
		}
	}
	probed = 1
	const futexWakePrivate = 129
	sys(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&probed)), futexWakePrivate, threads, 0, 0, 0)
}

func probeThread() uintptr

// overrideWrite is the function by which the runtime writes its own messages, if it is
// not nil.
//
//go:linkname overrideWrite runtime.overrideWrite
var overrideWrite func(fd uintptr, text unsafe.Pointer, length int32) int32

// oneLine writes the first line of what the runtime says when it ends this process, and
// then ends the process. A trace of up to 80 lines would follow. The runtime calls
// oneLine for each part of a line. On a loaded machine the runtime may need one more
// thread than probeThreads has tried, if the main thread has to wait more often. Then
// oneLine says what to raise.
//
//go:nosplit
//go:norace
func oneLine(fd uintptr, text unsafe.Pointer, length int32) int32 {
	const refused = "runtime: failed to create new OS thread"
	part := unsafe.Slice((*byte)(text), length)
	if len(part) >= len(refused) && unsafe.String(&part[0], len(refused)) == refused {
		giveUp(threadsMessage)
	}
	written := sys(unix.SYS_WRITE, fd, uintptr(text), uintptr(length), 0, 0, 0)
	for _, c := range part {
		if c == '\n' {
			giveUp("")
		}
	}
	return int32(written)
}

// giveUp ends this process with a message.
//
//go:nosplit
//go:norace
func giveUp(message string) {
	sys(unix.SYS_WRITE, 2, uintptr(unsafe.Pointer(unsafe.StringData(message))), uintptr(len(message)), 0, 0, 0)
	for {
		sys(unix.SYS_EXIT_GROUP, 1, 0, 0, 0, 0, 0)
	}
}

// hideVariables hides GOMEMLIMIT, GODEBUG and every other variable that begins with GO
// from the runtime of this process. These variables are meant for the program, which
// may be written in Go. A value that the runtime does not understand would end this
// process before main (runtime/mgcpacer.go, readGOMEMLIMIT). hideVariables moves the
// pointer to each variable to the second letter, and Environ moves it back. GOCOVERDIR
// stays, because it is for this process too. It names the directory for the coverage
// data of a binary built with -cover.
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
		if start[i] != name[i] { // also stops at the end of a shorter string
			return false
		}
	}
	return true
}

// entry is the ELF entry point, which the linker flag -E names. Go does not call it.
//
//lint:ignore U1000 it is the ELF entry point
func entry()
