package shim

import (
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/pid1"
)

// host is the source of signals in an ordinary Go program. It uses os/signal, which merges
// equal signals in quick succession, does not deliver 27 and 34, and does not name the
// sender. It cannot tell a SIGURG of another process from the scheduler's.
type host struct {
	received chan os.Signal
	early    []os.Signal // signals that Pending took from received
	changed  chan struct{}
	job      *job
}

// newHost takes over every signal that os/signal can take.
func newHost() *host {
	h := &host{received: make(chan os.Signal, 2048)}
	for sig := Signal(1); sig < pid1.NumSignals; sig++ {
		// Leave an ignored signal alone, because the program inherits it as ignored.
		if !signal.Ignored(sig) {
			signal.Notify(h.received, sig)
		}
	}
	return h
}

// claim makes the host deliver changes of the container's limits too.
func (h *host) claim(o *pid1.Orders) {
	if o.Notify < 0 {
		return
	}
	h.changed = make(chan struct{})
	go func() {
		for {
			ready := []unix.PollFd{{Fd: o.Notify, Events: unix.POLLIN}}
			if n, err := unix.Poll(ready, -1); n == 1 {
				h.changed <- struct{}{}
			} else if err != unix.EINTR {
				return
			}
			time.Sleep(10 * time.Millisecond) // gives the receiver time to read
		}
	}()
}

// Next waits for a signal, at most for limit.
func (h *host) Next(limit time.Duration) (sig Signal, ok bool) {
	var expired <-chan time.Time
	if limit != math.MaxInt64 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		expired = timer.C
	}
	for {
		var sig os.Signal
		if len(h.early) > 0 {
			sig, h.early = h.early[0], h.early[1:]
		} else {
			select {
			case sig = <-h.received:
			case <-h.changed:
				return pid1.Changed, true
			case <-expired:
				return 0, false
			}
		}
		if sig := sig.(syscall.Signal); sig != unix.SIGURG {
			return sig, true
		}
	}
}

// Help does what a helper does.
func (h *host) Help(role pid1.Role) { h.job.help(role) }

// Pending returns the signals that Next has not returned yet.
func (h *host) Pending() (pending pid1.Set) {
	for len(h.received) > 0 { // no other goroutine receives from it
		h.early = append(h.early, <-h.received)
	}
	for _, sig := range h.early {
		pending |= pid1.SetOf(sig.(syscall.Signal))
	}
	return pending
}
