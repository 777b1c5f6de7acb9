package shim

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// numSignals is one more than the highest signal number (signal(7)).
const numSignals = 65

// Signal is a signal number from 1 to 64.
type Signal = syscall.Signal

// The kernel's first and last real-time signals. A C library keeps 32 and 33
// for itself and calls 34 SIGRTMIN (signal(7)); RTMIN+n counts from 34 here too,
// since that is what STOPSIGNAL and systemd mean by it.
const (
	rtmin = 34
	rtmax = 64
)

// An event is a signal that somebody sent to this process.
type event struct {
	signal Signal
	pid    int32 // the sender in this PID namespace; 0: the kernel or an outer namespace
	uid    uint32
}

// forwardable reports whether the child is to be sent sig when this process
// gets it: tini's set. SIGCHLD is about our own children; TTIN and TTOU come
// from our own use of the terminal; the fault signals mean the process that
// gets them; 32 and 33 belong to the C library of whoever gets them.
func forwardable(sig Signal) bool {
	switch sig {
	case unix.SIGCHLD, unix.SIGTTIN, unix.SIGTTOU, unix.SIGKILL, unix.SIGSTOP, 32, 33:
		return false
	}
	return !isFault(sig)
}

func isFault(sig Signal) bool {
	switch sig {
	case unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS:
		return true
	}
	return false
}

// SignalName is the name of sig as kill(1) and docker spell it: SIGTERM,
// SIGRTMIN+3.
func SignalName(sig Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	if sig == rtmin {
		return "SIGRTMIN"
	}
	if sig > rtmin && sig <= rtmax {
		return "SIGRTMIN+" + strconv.Itoa(int(sig)-rtmin)
	}
	return "signal " + strconv.Itoa(int(sig))
}

// ParseSignal reads a signal as users write it: a number from 1 to 64, a name
// with or without SIG in either case, RTMIN+n or RTMAX-n.
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

// until is the time left before deadline, never negative.
func until(deadline time.Time) time.Duration {
	return max(0, time.Until(deadline))
}
