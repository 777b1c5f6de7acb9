package pid1

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Every signal is in the sets that signal(7) and tini say, and in no other.
func TestSetsOfSignals(t *testing.T) {
	set := func(signals ...Signal) map[Signal]bool {
		m := map[Signal]bool{}
		for _, sig := range signals {
			m[sig] = true
		}
		return m
	}
	fault := set(unix.SIGILL, unix.SIGTRAP, unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGSEGV, unix.SIGSYS)
	uncaught := set(unix.SIGKILL, unix.SIGSTOP)
	reserved := set(32, 33)
	terminal := set(unix.SIGTTIN, unix.SIGTTOU)
	stop := set(unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	for sig := Signal(1); sig < NumSignals; sig++ {
		for _, c := range []struct {
			name      string
			got, want bool
		}{
			{"a fault", faults.Has(sig), fault[sig]},
			{"uncatchable", uncatchable.Has(sig), uncaught[sig]},
			{"a C library's", libc.Has(sig), reserved[sig]},
			{"about a terminal", terminalUse.Has(sig), terminal[sig]},
			{"a stop signal", DefaultStopSignals.Has(sig), stop[sig]},
			{"forwardable", Forwardable(sig), !fault[sig] && !uncaught[sig] && !reserved[sig] && !terminal[sig] && sig != unix.SIGCHLD},
			{"rewritable", Rewritable(sig), !fault[sig] && !uncaught[sig] && !reserved[sig] && sig != unix.SIGCHLD},
		} {
			if c.got != c.want {
				t.Errorf("signal %d is %s: %v", sig, c.name, c.got)
			}
		}
	}
	if changed == written || Changed != changed {
		t.Error("two signals of PID 1 are one")
	}
}

func TestSetOf(t *testing.T) {
	for sig := Signal(1); sig < NumSignals; sig++ {
		s := SetOf(sig)
		if s != bit(sig) || s != 1<<(sig-1) {
			t.Errorf("signal %d is the set %#x", sig, s)
		}
		for other := Signal(1); other < NumSignals; other++ {
			if s.Has(other) != (other == sig) {
				t.Errorf("the set of %d has %d: %v", sig, other, s.Has(other))
			}
		}
	}
	if s := SetOf(1, 64); s != 1<<63|1 || SetOf() != 0 {
		t.Errorf("%#x, %#x", s, SetOf())
	}
}

func TestForwardAll(t *testing.T) {
	o := new(Orders)
	o.ForwardAll()
	for sig := range Signal(128) {
		want := Signal(0)
		if sig > 0 && sig < NumSignals && Forwardable(sig) {
			want = sig
		}
		if got := Signal(o.Rewrite[sig]); got != want {
			t.Errorf("signal %d becomes %d, want %d", sig, got, want)
		}
	}
}

// The kernel tells of a changed limit. No process can.
func TestChangesLimits(t *testing.T) {
	const byKernel = 2 // POLL_OUT and its kind are above zero
	for _, c := range []struct {
		name   string
		sig    Signal
		code   int32
		notify int32
		host   Source
		want   bool
	}{
		{"inotify's signal", changed, byKernel, 5, nil, true},
		{"SIGIO in its place", unix.SIGIO, byKernel, 5, nil, true},
		{"the same signal of a process", changed, siUser, 5, nil, false},
		{"or by sigqueue(3)", changed, -1, 5, nil, false},
		{"a SIGIO of a process", unix.SIGIO, siUser, 5, nil, false},
		{"another signal of the kernel", unix.SIGWINCH, 128, 5, nil, false},
		{"where nothing is watched", changed, byKernel, -1, nil, false},
		{"an ordinary Go program's source says so itself", changed, 0, 5, noSource{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife()
			l.orders.Notify, l.host, l.info.code = c.notify, c.host, c.code
			if got := l.changesLimits(c.sig); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

// Each stop signal that is taken has a place of its own until it is queued again.
func TestSlotOf(t *testing.T) {
	seen := map[int]Signal{}
	for sig := Signal(1); sig < NumSignals; sig++ {
		if !DefaultStopSignals.Has(sig) {
			continue
		}
		if other, taken := seen[slotOf(sig)]; taken || slotOf(sig) > 2 || slotOf(sig) < 0 {
			t.Errorf("signal %d has the place %d of %d", sig, slotOf(sig), other)
		}
		seen[slotOf(sig)] = sig
	}
}

// A mask has the words that the kernel wants, and is the same set again.
func TestMask(t *testing.T) {
	for sig := Signal(1); sig < NumSignals; sig++ {
		m := SetOf(sig).mask()
		if bits := wordSize * 8; m[uintptr(sig-1)/bits] != 1<<(uintptr(sig-1)%bits) || m.set() != SetOf(sig) {
			t.Errorf("signal %d is %#x", sig, m)
		}
	}
	all := (^Set(0)).mask()
	if all.set() != ^Set(0) {
		t.Errorf("%#x", all)
	}
}
