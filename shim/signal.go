package shim

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/pid1"
)

// Signal is a signal number from 1 to 64.
type Signal = pid1.Signal

// The first and the last real-time signal. A C library reserves the kernel's 32 and 33
// for itself and calls 34 SIGRTMIN (signal(7)). STOPSIGNAL and systemd count RTMIN+n
// from 34, and so does this package.
const (
	rtmin = 34
	rtmax = 64
)

// SignalName returns the name of sig as kill(1) and docker spell it, such as SIGTERM or
// SIGRTMIN+3.
func SignalName(sig Signal) string {
	name := unix.SignalName(sig)
	switch {
	case name != "":
		return name
	case sig == rtmin:
		return "SIGRTMIN"
	case sig > rtmin:
		return "SIGRTMIN+" + strconv.Itoa(int(sig)-rtmin)
	}
	return "signal " + strconv.Itoa(int(sig))
}

// signalText returns sig in words, as strsignal(3) of glibc does, such as Terminated. tini
// and the shell print it.
func signalText(sig Signal) string {
	if sig >= rtmin {
		return "Real-time signal " + strconv.Itoa(int(sig)-rtmin)
	}
	return capital(sig.String())
}

// capital returns text with a capital letter at its beginning. glibc's texts have one, and
// Go's have none.
func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// ParseSignal parses a signal as users write it. It accepts a number from 1 to 64, a
// name with or without SIG in either case, RTMIN+n, and RTMAX-n.
func ParseSignal(s string) (Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 1 || n >= pid1.NumSignals {
			return 0, fmt.Errorf("signal number %q is not within 1 to %d", s, pid1.NumSignals-1)
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
