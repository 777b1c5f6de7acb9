package process

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// numSignals is one more than the highest signal number (signal(7)).
const numSignals = 65

// NumSignals is one more than the highest signal number.
const NumSignals = numSignals

// Signal is a signal number from 1 to 64.
type Signal = syscall.Signal

// The first and the last real-time signal. A C library reserves the kernel's 32 and 33
// for itself and calls 34 SIGRTMIN (signal(7)). STOPSIGNAL and systemd count RTMIN+n
// from 34, and so does this package.
const (
	rtmin = 34
	rtmax = 64
)

// An Event is a signal that a process sent to this one.
type Event struct {
	Signal Signal
	PID    int32 // PID of the sender, or 0 for the kernel and for a process of an outer PID namespace
	UID    uint32
}

// Changed is the signal of an event that a watched descriptor causes ([Signals.Watch]).
// A C library reserves it for itself (nptl(7)), so no process sends it to another.
const Changed Signal = 33

// A Set is a set of signals. Bit 0 is signal 1, as in the kernel's sigset_t.
type Set uint64

// Has reports whether sig is in the set.
//
//go:nosplit
func (s Set) Has(sig Signal) bool { return s&bit(sig) != 0 }

// SetOf returns the set of these signals.
func SetOf(signals ...Signal) (s Set) {
	for _, sig := range signals {
		s |= bit(sig)
	}
	return s
}

//go:nosplit
func bit(sig Signal) Set { return 1 << (sig - 1) }

// Each of these sets is written only here, and every other set is derived from them.
const (
	// The kernel raises these for a fault of a thread. A process that sends such a signal
	// means the receiver and not the receiver's child.
	faults Set = 1<<(unix.SIGILL-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGABRT-1) | 1<<(unix.SIGBUS-1) |
		1<<(unix.SIGFPE-1) | 1<<(unix.SIGSEGV-1) | 1<<(unix.SIGSYS-1)
	// No process can catch or block these (signal(7)).
	uncatchable Set = 1<<(unix.SIGKILL-1) | 1<<(unix.SIGSTOP-1)
	// A C library reserves these for itself (nptl(7)).
	libc Set = 1<<(32-1) | 1<<(33-1)
	// The kernel sends these because of the way this process uses a terminal.
	terminal Set = 1<<(unix.SIGTTIN-1) | 1<<(unix.SIGTTOU-1)

	// tini does not forward these. SIGCHLD tells of the children of this process.
	notForwarded = faults | uncatchable | libc | terminal | 1<<(unix.SIGCHLD-1)
	// Only signals that can reach this process can be rewritten.
	notRewritable = notForwarded &^ terminal
)

// Forwardable reports whether the program gets sig when this process gets it.
func Forwardable(sig Signal) bool { return !notForwarded.Has(sig) }

// Rewritable reports whether sig can reach this process, so that it can be rewritten.
func Rewritable(sig Signal) bool { return !notRewritable.Has(sig) }

// names has the name of each signal. The array is filled beforehand, because a log line
// is written without allocating.
var names = func() (all [numSignals]string) {
	for sig := Signal(1); sig < numSignals; sig++ {
		name := unix.SignalName(sig)
		switch {
		case name != "":
		case sig == rtmin:
			name = "SIGRTMIN"
		case sig > rtmin:
			name = "SIGRTMIN+" + strconv.Itoa(int(sig)-rtmin)
		default:
			name = "signal " + strconv.Itoa(int(sig))
		}
		all[sig] = name
	}
	return all
}()

// SignalName returns the name of sig as kill(1) and docker spell it, such as SIGTERM or
// SIGRTMIN+3.
func SignalName(sig Signal) string {
	if sig < 0 || sig >= numSignals {
		return "signal"
	}
	return names[sig]
}

// texts has the text of strsignal(3) in glibc for each signal.
var texts = func() (all [numSignals]string) {
	for sig := Signal(1); sig < numSignals; sig++ {
		switch text := sig.String(); {
		case sig >= rtmin:
			all[sig] = "Real-time signal " + strconv.Itoa(int(sig)-rtmin)
		default:
			all[sig] = strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return all
}()

// SignalText returns sig in words, as tini and the shell do, such as Terminated.
func SignalText(sig Signal) string {
	if sig < 0 || sig >= numSignals {
		return "Unknown signal"
	}
	return texts[sig]
}

// ParseSignal parses a signal as users write it. It accepts a number from 1 to 64, a
// name with or without SIG in either case, RTMIN+n, and RTMAX-n.
func ParseSignal(s string) (Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n >= numSignals {
			return 0, fmt.Errorf("signal number %q is not within 1 to %d", s, numSignals-1)
		}
		return Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	for _, rt := range []struct {
		name       string
		base, sign int
	}{{"RTMIN", rtmin, 1}, {"RTMAX", rtmax, -1}} {
		rest, found := strings.CutPrefix(name, rt.name)
		if !found {
			continue
		}
		offset := 0
		if rest != "" {
			n, err := strconv.ParseUint(rest[1:], 10, 8)
			if err != nil || (rest[0] == '+') != (rt.sign > 0) || (rest[0] != '+' && rest[0] != '-') {
				return 0, fmt.Errorf("%q is not a real-time signal: use RTMIN+n or RTMAX-n", s)
			}
			offset = int(n)
		}
		sig := rt.base + rt.sign*offset
		if sig < rtmin || sig > rtmax {
			return 0, fmt.Errorf("%q is not within RTMIN (%d) to RTMAX (%d)", s, rtmin, rtmax)
		}
		return Signal(sig), nil
	}
	if name == "POLL" { // a synonym that unix.SignalNum lacks (signal(7))
		name = "IO"
	}
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("%q is not a signal: use a name such as TERM or SIGTERM, RTMIN+3, or a number", s)
}
