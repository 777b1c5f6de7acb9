package process

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]Signal{
		"TERM": unix.SIGTERM, "SIGTERM": unix.SIGTERM, "sigterm": unix.SIGTERM, "15": unix.SIGTERM,
		"POLL": unix.SIGIO, "SIGPWR": unix.SIGPWR, "STKFLT": unix.SIGSTKFLT, "1": unix.SIGHUP, "64": 64,
		"RTMIN": 34, "SIGRTMIN": 34, "RTMIN+3": 37, "SIGRTMIN+30": 64, "RTMAX": 64, "rtmax-14": 50, "RTMAX-30": 34,
	} {
		if got, err := ParseSignal(in); err != nil || got != want {
			t.Errorf("ParseSignal(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "SIG", "0", "-1", "65", "TERMINATE", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN+x", "SIGSIGTERM", "1.5"} {
		if got, err := ParseSignal(in); err == nil {
			t.Errorf("ParseSignal(%q) = %d, want an error", in, got)
		}
	}
}

func TestSignalNameIsReadBack(t *testing.T) {
	for sig := Signal(1); sig < numSignals; sig++ {
		if sig == 32 || sig == 33 {
			continue // the signals of the C library have no name
		}
		if got, err := ParseSignal(SignalName(sig)); err != nil || got != sig {
			t.Errorf("ParseSignal(%q) = %d, %v, want %d", SignalName(sig), got, err, sig)
		}
	}
}

func FuzzParseSignal(f *testing.F) {
	for _, seed := range []string{"TERM", "RTMIN+3", "RTMAX-", "SIG", "15", "RTMIN\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if sig, err := ParseSignal(in); err == nil && (sig < 1 || sig >= numSignals) {
			t.Errorf("ParseSignal(%q) = %d", in, sig)
		}
	})
}

// tini got each of the 64 signals, and did not forward the signals in never.
func TestForwardable(t *testing.T) {
	never := map[Signal]bool{4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 11: true, 17: true, 19: true, 21: true, 22: true, 31: true, 32: true, 33: true}
	for sig := Signal(1); sig < numSignals; sig++ {
		if Forwardable(sig) == never[sig] {
			t.Errorf("Forwardable(%d) = %v", sig, Forwardable(sig))
		}
	}
}

// Each set is listed here a second time, by the numbers of signal(7).
func TestSetsHoldTheirSignals(t *testing.T) {
	without := func(gone ...Signal) (rest []Signal) {
		for sig := Signal(1); sig < numSignals; sig++ {
			if !slices.Contains(gone, sig) {
				rest = append(rest, sig)
			}
		}
		return rest
	}
	for _, c := range []struct {
		name string
		set  Set
		want []Signal
	}{
		{"faults", faults, []Signal{4, 5, 6, 7, 8, 11, 31}},
		{"uncatchable", uncatchable, []Signal{9, 19}},
		{"libc", libc, []Signal{32, 33}},
		{"terminal", terminal, []Signal{21, 22}},
		{"notForwarded", notForwarded, []Signal{4, 5, 6, 7, 8, 9, 11, 17, 19, 21, 22, 31, 32, 33}},
		{"notRewritable", notRewritable, []Signal{4, 5, 6, 7, 8, 9, 11, 17, 19, 31, 32, 33}},
		{"all", ^Set(0), without()},
		{"none", SetOf(), nil},
		{"some", SetOf(1, 15, 64), []Signal{1, 15, 64}},
	} {
		for sig := Signal(1); sig < numSignals; sig++ {
			if c.set.Has(sig) != slices.Contains(c.want, sig) {
				t.Errorf("%s: %d is in it: %v", c.name, sig, c.set.Has(sig))
			}
		}
	}
}

// tini does not block the signals in unblocked (src/tini.c, configure_signals). It
// forwards all others but CHLD.
func TestForwardableIsTinisTable(t *testing.T) {
	unblocked := []Signal{unix.SIGFPE, unix.SIGILL, unix.SIGSEGV, unix.SIGBUS, unix.SIGABRT, unix.SIGTRAP, unix.SIGSYS, unix.SIGTTIN, unix.SIGTTOU}
	other := []Signal{unix.SIGCHLD, unix.SIGKILL, unix.SIGSTOP, 32, 33}
	for sig := Signal(1); sig < numSignals; sig++ {
		if want := !slices.Contains(unblocked, sig) && !slices.Contains(other, sig); Forwardable(sig) != want {
			t.Errorf("Forwardable(%d) = %v", sig, !want)
		}
	}
}

func TestSignalsHaveNamesAndTexts(t *testing.T) {
	for sig, want := range map[Signal][2]string{
		1: {"SIGHUP", "Hangup"}, 9: {"SIGKILL", "Killed"}, 15: {"SIGTERM", "Terminated"}, 10: {"SIGUSR1", "User defined signal 1"},
		29: {"SIGIO", "I/O possible"}, 34: {"SIGRTMIN", "Real-time signal 0"}, 37: {"SIGRTMIN+3", "Real-time signal 3"},
		64: {"SIGRTMIN+30", "Real-time signal 30"},
	} {
		if name, text := SignalName(sig), SignalText(sig); name != want[0] || text != want[1] {
			t.Errorf("%d is %q, %q, want %q", sig, name, text, want)
		}
	}
	for _, sig := range []Signal{-1, 65} {
		if SignalName(sig) == "" || SignalText(sig) != "Unknown signal" {
			t.Errorf("%d is %q, %q", sig, SignalName(sig), SignalText(sig))
		}
	}
}
