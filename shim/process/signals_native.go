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

// How signals reach this process
//
// os/signal keeps one bit for each signal. So it would lose real-time signals, of which
// the kernel queues several, and it cannot deliver 27 and 34 at all. An init in C blocks
// every signal and calls sigwait. But Go's runtime unblocks HUP, INT, QUIT, TERM, CHLD
// and others on every thread that it creates (runtime, blockableSig).
//
// So the main thread blocks every signal and waits in rt_sigtimedwait(2), as tini does.
// The kernel gives a signal for the process to the main thread whenever that thread
// can take the signal (kernel/signal.c, complete_signal). enter.go makes sure that the
// other threads block these signals too. In a binary that was linked without entry, or
// with another version of the runtime, another thread may still get a signal and run the
// handler `redirect`. redirect queues the signal for the main thread, with its siginfo.
// So the signal stays in the kernel's queues all the way.
//
// rt_tgsigqueueinfo refuses si_code >= 0 from another thread (EPERM), so redirect sets
// the sign bit. redirect leaves a fault that the CPU raised (si_code > 0) to the runtime,
// and also the SIGURG that the scheduler sends to the threads of this process
// (SI_TKILL). redirect drops a fault signal that a process sent.
var (
	self           int32 // PID, which is also the TID of the main thread
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
	runtime   [numSignals]sigaction // the handlers of Go's runtime
	info      siginfo
	owner     [2]int32 // struct f_owner_ex
}

// Claim takes over every signal that a process can take. The caller has to be locked to
// the main thread.
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
	// Set the mask first. Otherwise redirect could run on the main thread and would
	// queue the signal for the main thread again and again. Faults stay unblocked,
	// because a blocked fault ends the process without the runtime's message. 32 and 33
	// stay unblocked too. They have the default action here, and the kernel drops them
	// for PID 1 only if they are not blocked (kernel/signal.c, sig_task_ignored).
	s.waitFor = blockedAtEntry | bit(unix.SIGURG)
	swapMask(unix.SIG_SETMASK, s.waitFor)
	for sig := Signal(1); sig < numSignals; sig++ {
		if (uncatchable | libc).Has(sig) {
			continue
		}
		// If the scheduler sends a SIGURG before runtimeHandler is set, redirect queues
		// the signal, and Next drops it.
		setAction(sig, &action, &s.runtime[sig])
		if faults.Has(sig) || sig == unix.SIGURG {
			runtimeHandler[sig] = s.runtime[sig].handler
		}
	}
	action.flags &^= saRestart // the interrupted call has to return
	makeAlarm(&action)
	return s
}

// Without gives sig back to the runtime for os/signal.
func (s *Signals) Without(sig Signal) {
	s.waitFor &^= bit(sig)
	setAction(sig, &s.runtime[sig], nil)
}

// Refused returns the errno if a sandbox refuses rt_sigtimedwait(2), and 0 otherwise. There
// is no other way to wait for blocked signals. Refused waits for no signal, so it takes
// none.
func (s *Signals) Refused() syscall.Errno {
	var none Set
	var timeout unix.Timespec
	errno := errnoOf(sys(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&none)), 0, uintptr(unsafe.Pointer(&timeout)), 8, 0, 0))
	if errno == unix.EAGAIN || errno == unix.EINTR {
		return 0
	}
	return errno
}

// Forever makes Next wait without a limit. The kernel takes it so too (KTIME_MAX).
const Forever = time.Duration(math.MaxInt64)

// Next waits for a signal, at most for limit. ok is false if no signal has come.
func (s *Signals) Next(limit time.Duration) (e Event, ok bool) {
	for {
		sig, errno := s.wait(limit)
		switch {
		case errno == unix.EAGAIN:
			return Event{}, false
		case errno == unix.EINTR: // a handler ran, or a freeze ended
			if limit != Forever {
				return Event{}, false // the caller knows how much of the limit is left
			}
		case errno != 0:
			// Refused finds this before the program starts. The pause avoids a busy loop if
			// it comes later.
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

// isOwn reports whether this process has caused the signal itself. Such signals are the
// scheduler's request to yield (SIGURG), SIGPIPE after a write to a closed pipe, and
// SIGXFSZ after a write beyond RLIMIT_FSIZE. The last two come from this process's log
// lines and not from the program.
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

// wait waits for a signal. As long as there is a runtime, wait calls by way of
// syscall.Syscall6, which tells the runtime that this thread blocks. The two calls do
// not share variables for their arguments, because the conversion to uintptr has to be
// in the call (unsafe.Pointer, rule 4).
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

// Pending returns the set of pending signals.
func (s *Signals) Pending() (pending Set) {
	sys(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), 8, 0, 0, 0, 0)
	return pending
}

// Watch makes Next return an event with the signal Changed when fd becomes readable
// (fcntl(2), "Signals"). So no thread has to wait for the descriptor. The signal goes to
// the main thread, which blocks it. A thread of the runtime does not block it and would
// take its default action.
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
