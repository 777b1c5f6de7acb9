package pid1

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Signal is a signal number from 1 to 64.
type Signal = syscall.Signal

// NumSignals is one more than the highest signal number (signal(7)).
const NumSignals = 65

// A Set is a set of signals. Bit 0 is signal 1.
type Set uint64

// Has reports whether sig is in the set.
func (s Set) Has(sig Signal) bool { return s>>(uint(sig-1)&63)&1 == 1 }

// SetOf returns the set of these signals.
func SetOf(signals ...Signal) (s Set) {
	for _, sig := range signals {
		s |= bit(sig)
	}
	return s
}

// mask is a set as the kernel has it, an array of long (sigset_t).
type mask [sigsetSize / wordSize]uintptr

const halfWord = wordSize * 4 // in bits

func (s Set) mask() (m mask) {
	for i := range m {
		m[i] = uintptr(s)
		s = s >> halfWord >> halfWord
	}
	return m
}

func (m *mask) set() (s Set) {
	for i := range m {
		s = s<<halfWord<<halfWord | Set(m[len(m)-1-i])
	}
	return s
}

func bit(sig Signal) Set { return 1 << (uint(sig-1) & 63) }

// Signals that a C library reserves for itself (nptl(7)). No process sends them to another.
const (
	// changed is the signal that inotify raises when the container's limits change.
	changed Signal = 33
	// written is the signal of a child that writes a log line, when it ends.
	written Signal = 32
)

// Each of these sets is written only here, and every other set is derived from them.
const (
	// The kernel raises these for a fault of a thread. A process that sends such a signal
	// means the receiver and not the receiver's child.
	faults Set = 1<<(unix.SIGILL-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGABRT-1) | 1<<(unix.SIGBUS-1) |
		1<<(unix.SIGFPE-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGSYS-1)
	// No process can catch or block these (signal(7)).
	uncatchable Set = 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1)
	libc        Set = 1<<(changed-1) | 1<<(written-1)
	// The kernel sends these because of the way this process uses a terminal.
	terminalUse Set = 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)

	// tini does not forward these. SIGCHLD tells of the children of this process.
	notForwarded = faults | uncatchable | libc | terminalUse | 1<<(unix.SIGCHLD-1)
	// Only signals that can reach this process can be rewritten.
	notRewritable = notForwarded &^ terminalUse
)

// Forwardable reports whether the program gets sig when this process gets it.
func Forwardable(sig Signal) bool { return !notForwarded.Has(sig) }

// Rewritable reports whether sig can reach this process, so that it can be rewritten.
func Rewritable(sig Signal) bool { return !notRewritable.Has(sig) }

// DefaultStopSignals are the stop signals without --stop-signal.
const DefaultStopSignals Set = 1<<(unix.SIGTERM-1) | 1<<(unix.SIGINT-1) | 1<<(unix.SIGQUIT-1)

// siginfo is a siginfo_t for a signal that a process sent (sigaction(2)). On 64 bits the
// kernel leaves a gap before the union.
type siginfo struct {
	siginfoHead
	_   [wordSize/4 - 1]int32
	pid int32
	uid uint32
	_   [112 - wordSize]byte // 128 in all
}

// Values of si_code (sigaction(2)). A signal that the kernel raised for a fault or for a
// descriptor has a value above zero. sigqueue(3) and its kind have one below zero.
const (
	siUser  = 0
	siTkill = -6
)
