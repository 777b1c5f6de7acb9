//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import (
	"math"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Signals is the source of the signals sent to this process. It uses os/signal, because
// the assembly of signals_native.go is missing. os/signal merges equal signals in quick
// succession, does not deliver 27 and 34, and does not name the sender. It cannot tell
// a SIGURG of another process from the scheduler's.
type Signals struct {
	inherited inheritance
	received  chan os.Signal
	early     []os.Signal // signals that Pending took from received
	ignored   Set
	changed   chan struct{}
}

// Claim takes over every signal that os/signal can take. The caller has to be locked to
// the main thread.
func Claim() *Signals {
	s := &Signals{inherited: inherit(), received: make(chan os.Signal, 2048)}
	limitRuntime()
	for sig := Signal(1); sig < numSignals; sig++ {
		// Leave an ignored signal alone, because the program inherits it as ignored.
		if !signal.Ignored(sig) {
			signal.Notify(s.received, sig)
		}
	}
	// The runtime leaves 34 to a C library. Its default action stays in place and would
	// end a process that is not PID 1.
	ignore(rtmin)
	return s
}

// ignore sets the disposition of sig to SIG_IGN.
func ignore(sig Signal) {
	if sigsetSize == 8 { // on MIPS the handler is not the first field
		sys(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(actionIgnore)), 0, sigsetSize, 0, 0)
	}
}

// Without makes Next ignore sig, which another part of the program has claimed.
func (s *Signals) Without(sig Signal) { s.ignored |= bit(sig) }

// Refused returns 0, because Go's runtime waits in another way.
func (s *Signals) Refused() syscall.Errno { return 0 }

// Forever makes Next wait without a limit.
const Forever = time.Duration(math.MaxInt64)

// Next waits for a signal, at most for limit. ok is false if no signal has come.
func (s *Signals) Next(limit time.Duration) (e Event, ok bool) {
	var expired <-chan time.Time
	if limit != Forever {
		timer := time.NewTimer(limit)
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
			case <-s.changed:
				return Event{Signal: Changed}, true
			case <-expired:
				return Event{}, false
			}
		}
		if sig := sig.(syscall.Signal); sig != unix.SIGURG && !s.ignored.Has(sig) {
			return Event{Signal: sig}, true
		}
	}
}

// Pending returns the set of signals that Next has not returned yet.
func (s *Signals) Pending() (pending Set) {
	for len(s.received) > 0 { // no other goroutine receives from it
		s.early = append(s.early, <-s.received)
	}
	for _, sig := range s.early {
		pending |= bit(sig.(syscall.Signal))
	}
	return pending
}

// Watch makes Next return an event with the signal Changed when fd becomes readable.
func (s *Signals) Watch(fd int) error {
	s.changed = make(chan struct{})
	go func() {
		for {
			ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, err := unix.Poll(ready, -1); n == 1 {
				s.changed <- struct{}{}
			} else if err != unix.EINTR {
				return
			}
			time.Sleep(10 * time.Millisecond) // gives the receiver time to read from fd
		}
	}()
	return nil
}
