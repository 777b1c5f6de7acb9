//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"math"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How signals reach us
//
// os/signal keeps one bit per signal, so real-time signals that queue in the kernel
// would be lost, and it cannot deliver 27 and 34 at all. A C init blocks everything and
// calls sigwait, but Go's runtime unblocks HUP, INT, QUIT, TERM, CHLD and others on every
// thread that it makes (runtime, blockableSig).
//
// So the main thread blocks everything and waits in rt_sigtimedwait(2), as tini does. The
// kernel hands a process-directed signal to the main thread whenever that thread can take
// it (kernel/signal.c, complete_signal), and enter.go sees to it that the other threads
// have it blocked. A thread that has not, in a binary that was linked without entry or
// with another version of the runtime, runs `redirect`. That queues the signal for the
// main thread with its siginfo. The signal stays in the kernel's queues all the way.
//
// rt_tgsigqueueinfo refuses si_code >= 0 from another thread (EPERM), so redirect sets
// the sign bit. Two kinds of signal stay the runtime's: a fault that the CPU raised
// (si_code > 0), and the SIGURG that the scheduler sends to its own threads (SI_TKILL
// from ourselves). A fault signal that a process sent is dropped.
var (
	self           int32 // PID, and the TID of the main thread
	runtimeHandler [numSignals]uintptr
)

func redirectAddress() uintptr
func sigreturnAddress() uintptr

const (
	saSiginfo  = 0x4
	saRestorer = 0x04000000
	saOnstack  = 0x08000000
	saRestart  = 0x10000000
)

// Signals is the source of the signals sent to this process.
type Signals struct {
	inherited inheritance
	waitFor   Set
	watching  bool
	runtime   [numSignals]sigaction // what Go's runtime had installed
	info      siginfo
	owner     [2]int32 // struct f_owner_ex
}

// Claim takes over every signal that can be taken. The caller is the main thread, locked.
func Claim() *Signals {
	s := &Signals{inherited: inherit()}
	limitRuntime()
	self = int32(unix.Getpid())
	action := sigaction{
		handler:  redirectAddress(),
		flags:    saSiginfo | saOnstack | saRestart | saRestorer,
		restorer: sigreturnAddress(),
		mask:     ^Set(0),
	}
	// The mask comes first: redirect on the main thread would queue the signal for the
	// main thread, for ever. A fault that is blocked would end the process without the
	// runtime's message. And 32 and 33, which have the default action here, must not be
	// blocked: only so does the kernel drop them for PID 1 (kernel/signal.c,
	// sig_task_ignored).
	s.waitFor = blockedAtEntry | bit(unix.SIGURG)
	swapMask(unix.SIG_SETMASK, s.waitFor)
	for sig := Signal(1); sig < numSignals; sig++ {
		if (uncatchable | libc).Has(sig) {
			continue
		}
		// A SIGURG of the scheduler's that comes before the next line is queued; Next
		// drops it.
		setAction(sig, &action, &s.runtime[sig])
		if faults.Has(sig) || sig == unix.SIGURG {
			runtimeHandler[sig] = s.runtime[sig].handler
		}
	}
	action.flags &^= saRestart // the call that it interrupts is to return
	makeAlarm(&action)
	return s
}

// Without gives sig back to the runtime, for os/signal.
func (s *Signals) Without(sig Signal) {
	s.waitFor &^= bit(sig)
	setAction(sig, &s.runtime[sig], nil)
}

// Forever is a limit that does not come.
const Forever = time.Duration(math.MaxInt64) // for the kernel too: KTIME_MAX

// Next waits for a signal, no longer than limit. ok is false where none has come.
func (s *Signals) Next(limit time.Duration) (e Event, ok bool) {
	for {
		sig, errno := s.wait(limit)
		switch {
		case errno == unix.EAGAIN:
			return Event{}, false
		case errno == unix.EINTR: // by a handler, or at the end of a freeze
			if limit != Forever {
				return Event{}, false // the caller knows what is left of it
			}
		case errno != 0:
			// A sandbox without rt_sigtimedwait(2): there is no other way to wait for
			// signals that are blocked, but no reason to spin.
			pause(10 * time.Millisecond)
			return Event{}, false
		case s.isOwn(sig):
		case sig == unix.SIGIO && s.watching && s.info.code > 0:
			// The queue of real-time signals was full (fcntl(2), F_SETSIG).
			return Event{Signal: Changed}, true
		default:
			return Event{sig, s.info.pid, s.info.uid}, true
		}
	}
}

// isOwn tells a signal that this process has caused itself: the scheduler's request that
// this thread yield, and what a write to a closed pipe or beyond RLIMIT_FSIZE raises. The
// last two come from this process's log lines, not from the program's.
func (s *Signals) isOwn(sig Signal) bool {
	if s.info.pid != self {
		return false
	}
	switch sig {
	case unix.SIGURG:
		return s.info.code == siTkill
	case unix.SIGPIPE, unix.SIGXFSZ:
		return s.info.code == siUser
	}
	return false
}

// wait lets the runtime know that this thread blocks, as long as there is a runtime. The
// calls are written out: through a variable the pointers would not be kept
// (unsafe.Pointer, rule 4).
func (s *Signals) wait(limit time.Duration) (Signal, syscall.Errno) {
	timeout := unix.NsecToTimespec(int64(max(limit, 0)))
	if !alone {
		sig, _, errno := syscall.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&s.waitFor)),
			uintptr(unsafe.Pointer(&s.info)), uintptr(unsafe.Pointer(&timeout)), 8, 0, 0)
		return Signal(sig), errno
	}
	sig, errno := result(sys(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&s.waitFor)),
		uintptr(unsafe.Pointer(&s.info)), uintptr(unsafe.Pointer(&timeout)), 8, 0, 0))
	return Signal(sig), errno
}

// Pending is the set of signals that wait to be taken.
func (s *Signals) Pending() (pending Set) {
	sys(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), 8, 0, 0, 0, 0)
	return pending
}

// Watch has Next return an event with the signal Changed when fd becomes readable
// (fcntl(2), "Signals"). Nothing has to wait for the descriptor then. The signal goes to
// the main thread, for a thread of the runtime would take its default action.
func (s *Signals) Watch(fd int) error {
	s.waitFor |= bit(Changed)
	s.watching = true
	swapMask(unix.SIG_BLOCK, bit(Changed))
	const fSetsig, fSetownEx = 10, 15
	s.owner = [2]int32{0, self} // F_OWNER_TID
	for _, call := range [...]struct{ command, value uintptr }{
		{fSetsig, uintptr(Changed)},
		{fSetownEx, uintptr(unsafe.Pointer(&s.owner))},
		{unix.F_SETFL, unix.O_ASYNC | unix.O_NONBLOCK},
	} {
		if errno := errnoOf(sys(unix.SYS_FCNTL, uintptr(fd), call.command, call.value, 0, 0, 0)); errno != 0 {
			return os.NewSyscallError("fcntl", errno)
		}
	}
	return nil
}

//go:nosplit
func setAction(sig Signal, action, old *sigaction) {
	sys(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
}

// pause sleeps.
func pause(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	sys(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0, 0, 0, 0)
}
