//go:build !(amd64 || arm64) || cgshim_portable

package shim

import (
	"os"
	"os/signal"
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
		select {
		case sig := <-s.received:
			if sig != unix.SIGURG && sig != s.ignored {
				return event{signal: sig.(syscall.Signal)}, true
			}
		case <-expired:
			return event{}, false
		}
	}
}

// stopPending does not know: a signal that was received cannot be looked at and kept.
func (s *Signals) stopPending() bool { return false }
