//go:build !(amd64 || arm64) || cgshim_portable

package shim

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Signals is the source of the signals sent to this process. On architectures
// without the assembly of signals_native.go it is os/signal, with its limits:
// equal signals in quick succession become one, 27 and 34 are not delivered, the
// sender is unknown, and a SIGURG cannot be told from the scheduler's own.
type Signals struct {
	inherited inheritance
	received  chan os.Signal
	early     []os.Signal // taken from received by stopPending
	ignored   Signal
}

// Claim takes over every signal that can be taken.
func Claim() *Signals {
	s := &Signals{inherited: inherit(), received: make(chan os.Signal, 2048)}
	for sig := Signal(1); sig < numSignals; sig++ {
		// An ignored signal stays ignored, for the child inherits that.
		if !signal.Ignored(sig) {
			signal.Notify(s.received, sig)
		}
	}
	return s
}

// without leaves sig to whoever else has claimed it.
func (s *Signals) without(sig Signal) { s.ignored = sig }

// next waits for a signal until deadline; a zero deadline is never. ok is false
// when the deadline has passed.
func (s *Signals) next(deadline time.Time) (e event, ok bool) {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		var sig os.Signal
		if len(s.early) > 0 {
			sig, s.early = s.early[0], s.early[1:]
		} else {
			select {
			case sig = <-s.received:
			case <-expired:
				return event{}, false
			}
		}
		if sig != unix.SIGURG && sig != s.ignored {
			return event{signal: sig.(syscall.Signal)}, true
		}
	}
}

// stopPending reports whether a signal that asks for an end waits to be taken.
func (s *Signals) stopPending() bool {
	for len(s.received) > 0 { // nobody else takes from it
		s.early = append(s.early, <-s.received)
	}
	return slices.ContainsFunc(s.early, func(sig os.Signal) bool { return isStop(sig.(syscall.Signal)) })
}
