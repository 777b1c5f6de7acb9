package process

import (
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

// The set that tini forwards, measured by sending each of the 64 signals to it.
func TestForwardable(t *testing.T) {
	never := map[Signal]bool{4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 11: true, 17: true, 19: true, 21: true, 22: true, 31: true, 32: true, 33: true}
	for sig := Signal(1); sig < numSignals; sig++ {
		if Forwardable(sig) == never[sig] {
			t.Errorf("Forwardable(%d) = %v", sig, Forwardable(sig))
		}
	}
}
