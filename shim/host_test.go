package shim

import (
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/pid1"
)

func newTestHost(signals ...Signal) *host {
	h := &host{received: make(chan os.Signal, 16)}
	for _, sig := range signals {
		h.received <- sig
	}
	return h
}

func TestHost(t *testing.T) {
	t.Run("signals come in order, and none is lost by a look", func(t *testing.T) {
		h := newTestHost(unix.SIGTERM, unix.SIGCHLD, unix.SIGUSR1)
		for range 2 {
			if pending := h.Pending(); pending != SetOf(unix.SIGTERM, unix.SIGCHLD, unix.SIGUSR1) {
				t.Errorf("%#x wait", pending)
			}
		}
		h.received <- unix.SIGHUP
		var got []Signal
		for range 4 {
			sig, ok := h.Next(math.MaxInt64)
			if !ok {
				t.Fatal("no signal")
			}
			got = append(got, sig)
		}
		if want := []Signal{unix.SIGTERM, unix.SIGCHLD, unix.SIGUSR1, unix.SIGHUP}; !slices.Equal(got, want) || h.Pending() != 0 {
			t.Errorf("%v", got)
		}
	})
	t.Run("SIGURG is the scheduler's", func(t *testing.T) {
		h := newTestHost(unix.SIGURG, unix.SIGURG, unix.SIGINT)
		if sig, ok := h.Next(time.Minute); sig != unix.SIGINT || !ok {
			t.Errorf("%v, %v", sig, ok)
		}
	})
	t.Run("a wait has an end", func(t *testing.T) {
		h := newTestHost(unix.SIGURG)
		if sig, ok := h.Next(time.Millisecond); ok {
			t.Errorf("%v", sig)
		}
	})
	t.Run("a written limit is a signal", func(t *testing.T) {
		h := newTestHost()
		h.changed = make(chan struct{}, 1)
		h.changed <- struct{}{}
		if sig, ok := h.Next(time.Minute); sig != pid1.Changed || !ok {
			t.Errorf("%v, %v", sig, ok)
		}
	})
	t.Run("a watched file that is written tells the loop", func(t *testing.T) {
		var pipe [2]int
		if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		h := newTestHost()
		h.claim(&pid1.Orders{Notify: -1})
		if h.changed != nil {
			t.Error("nothing is watched, and a goroutine watches it")
		}
		h.claim(&pid1.Orders{Notify: int32(pipe[0])})
		if _, err := unix.Write(pipe[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		if sig, ok := h.Next(time.Minute); sig != pid1.Changed || !ok {
			t.Errorf("%v, %v", sig, ok)
		}
	})
	t.Run("it does the work of a helper", func(t *testing.T) {
		j, _ := newJob(t, Config{})
		j.orders.Outcome = pid1.Outcome{PID: program, Status: exited(3)}
		h := newTestHost()
		h.job = j
		if h.Help(pid1.Explain); j.orders.Reply.String() == "" {
			t.Error("no answer")
		}
	})
}

// A stop signal that waits ends the wait for a busy cgroup.
func TestHurry(t *testing.T) {
	j, _ := newJob(t, Config{})
	if j.hurry() {
		t.Error("a helper hurries without a reason")
	}
	pending := SetOf(unix.SIGHUP)
	j.pending = func() SignalSet { return pending }
	if j.hurry() {
		t.Error("a SIGHUP is no reason")
	}
	if pending = SetOf(unix.SIGTERM); !j.hurry() {
		t.Error("a SIGTERM is one")
	}
}
