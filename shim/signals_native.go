//go:build (amd64 || arm64) && !cgshim_portable

package shim

import (
	"math"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How signals reach us
//
// os/signal keeps one bit per signal, so real-time signals that queue in the
// kernel would be lost, and it cannot deliver 27 and 34 at all. A C init blocks
// everything and calls sigwait, but Go's runtime unblocks HUP, INT, QUIT, TERM,
// CHLD and others on every thread it makes (runtime, blockableSig).
//
// So: the main thread blocks everything and waits in rt_sigtimedwait(2), as tini
// does. The kernel hands a process-directed signal to the main thread whenever
// that can take it (kernel/signal.c, complete_signal), and entry.go sees to it that
// the other threads have it blocked. One that has not, in a binary linked without
// entry or with another version of the runtime, runs `redirect`, which queues the
// signal for the main thread with its siginfo. It stays in the kernel's queues all
// the way.
//
// rt_tgsigqueueinfo refuses si_code >= 0 from another thread (EPERM), so redirect
// sets the sign bit. Two kinds of signal stay the runtime's: a fault that the CPU
// raised (si_code > 0), and the SIGURG that the scheduler sends to its own threads
// (SI_TKILL from ourselves). A fault signal that somebody sent is dropped.
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

	siTkill = -6
)

// Signals is the source of the signals sent to this process.
type Signals struct {
	inherited inheritance
	waitFor   uint64
	runtime   [numSignals]sigaction // what Go's runtime had installed
}

// Claim takes over every signal that can be taken. It is the first thing main
// does, on the main thread, which must be locked: before it, Go's runtime would
// end the process on a SIGTERM. It cannot fail: the numbers are valid.
func Claim() *Signals {
	s := &Signals{inherited: inherit()}
	self = int32(unix.Getpid())
	action := sigaction{
		handler:  redirectAddress(),
		flags:    saSiginfo | saOnstack | saRestart | saRestorer,
		restorer: sigreturnAddress(),
		mask:     ^uint64(0),
	}
	// The mask comes first: redirect on the main thread would queue the signal for
	// the main thread, for ever. A fault that is blocked would end the process
	// without the runtime's message. And 32 and 33, which have the default action
	// here, must not be blocked: only so does the kernel drop them for PID 1
	// (kernel/signal.c, sig_task_ignored).
	blocked := deferred | bit(unix.SIGURG)
	setMask(blocked)
	for sig := Signal(1); sig < numSignals; sig++ {
		switch sig {
		case unix.SIGKILL, unix.SIGSTOP, 32, 33:
			continue
		}
		// A SIGURG of the scheduler's that comes before the next line is queued; next
		// drops it.
		rtSigaction(sig, &action, &s.runtime[sig])
		if isFault(sig) || sig == unix.SIGURG {
			runtimeHandler[sig] = s.runtime[sig].handler
		}
	}
	s.waitFor = blocked
	return s
}

// without gives sig back to the runtime, for os/signal.
func (s *Signals) without(sig Signal) {
	s.waitFor &^= bit(sig)
	rtSigaction(sig, &s.runtime[sig], nil)
}

// next waits for a signal until deadline; a zero deadline is never. ok is false
// when the deadline has passed.
func (s *Signals) next(deadline time.Time) (e event, ok bool) {
	var info siginfo
	for {
		left := never
		if !deadline.IsZero() {
			left = until(deadline)
		}
		// Signals come in bursts. While a call may block the runtime's monitor is awake
		// and has other threads take over (runtime, retake), so it is not told of the
		// first millisecond. No longer: a collection waits for who does not tell.
		sig, errno := s.wait(false, &info, min(left, burst))
		if errno == unix.EAGAIN && left > burst {
			sig, errno = s.wait(true, &info, left-burst)
		}
		switch {
		case errno == unix.EAGAIN:
			return event{}, false
		case errno != 0: // EINTR: a handler ran on this thread
			continue
		case sig == unix.SIGURG && info.code == siTkill && info.pid == self:
			continue // the runtime asked this thread to yield; it has, by waiting
		case sig == unix.SIGPIPE && info.pid == self:
			continue // our own write to a closed stderr
		}
		return event{sig, info.pid, info.uid}, true
	}
}

const (
	burst = time.Millisecond
	never = time.Duration(math.MaxInt64) // for the kernel too: KTIME_MAX
)

// siginfo is the siginfo_t of a signal that was sent (sigaction(2)).
type siginfo struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	_                     [104]byte
}

// wait tells the runtime that this thread blocks, or does not. The calls are written
// out: through a variable the pointers would not be kept (unsafe.Pointer, rule 4).
func (s *Signals) wait(tell bool, info *siginfo, limit time.Duration) (Signal, syscall.Errno) {
	timeout := unix.NsecToTimespec(int64(limit))
	if tell {
		sig, _, errno := syscall.Syscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&s.waitFor)),
			uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&timeout)), 8, 0, 0)
		return Signal(sig), errno
	}
	sig, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&s.waitFor)),
		uintptr(unsafe.Pointer(info)), uintptr(unsafe.Pointer(&timeout)), 8, 0, 0)
	return Signal(sig), errno
}

// stopPending reports whether a signal that asks for an end waits to be taken.
func (s *Signals) stopPending() bool {
	var pending uint64
	syscall.RawSyscall(unix.SYS_RT_SIGPENDING, uintptr(unsafe.Pointer(&pending)), 8, 0)
	return pending&(bit(unix.SIGTERM)|bit(unix.SIGINT)|bit(unix.SIGQUIT)) != 0
}

func bit(sig Signal) uint64 { return 1 << (sig - 1) }

const faults uint64 = 1<<(unix.SIGILL-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGABRT-1) | 1<<(unix.SIGBUS-1) |
	1<<(unix.SIGFPE-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGSYS-1)

//go:nosplit
func rtSigaction(sig Signal, action, old *sigaction) {
	syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(action)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
}

//go:nosplit
func setMask(mask uint64) {
	const sigSetmask = 2
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, sigSetmask, uintptr(unsafe.Pointer(&mask)), 0, 8, 0, 0)
}
