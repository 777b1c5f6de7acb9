package pid1

import (
	"time"

	"golang.org/x/sys/unix"
)

// tick is the longest wait while a countdown runs.
//
// A frozen program (docker pause) cannot stop, so its time to stop must stand still while the
// container is frozen. The kernel does not tell a process of a freeze. But the freezer of
// cgroup v2 interrupts a wait, which then ends with EINTR (kernel/cgroup/freezer.c). No
// signal does that to this process, because it has no handler. After EINTR only a tick
// counts. The freezer of v1 interrupts nothing (kernel/signal.c, do_sigtimedwait), so a lap
// longer than longestLap is taken for a freeze as well. A process with little processor time
// has laps of some hundred milliseconds, which count.
const (
	tick       = 100 * time.Millisecond
	longestLap = 2 * time.Second
)

// countdown is the time left until a deadline. The zero value does not run.
type countdown struct {
	left    time.Duration
	running bool
}

func countdownOf(d time.Duration) countdown { return countdown{d, true} }

func (c *countdown) spend(d time.Duration) {
	if c.running {
		c.left -= d
	}
}

func (c *countdown) over() bool { return c.running && c.left <= 0 }

// limit returns the longest time to wait for a signal.
func (c *countdown) limit() time.Duration {
	if !c.running {
		return forever
	}
	return max(0, min(c.left, tick))
}

// stopwatch measures the time that this process has not been frozen.
type stopwatch struct {
	last  time.Duration // or 0
	froze bool          // a freeze has ended since the last lap
}

// lap returns the time since the last call, or 0 after stop.
func (w *stopwatch) lap() time.Duration {
	t := now()
	if w.last == 0 {
		w.last = t
	}
	d := t - w.last
	if w.froze || d > longestLap {
		d = min(d, tick)
	}
	w.last, w.froze = t, false
	return d
}

func (w *stopwatch) stop() { w.last = 0 }

// next waits for a signal, at most for limit. ok is false if no signal has come.
func (l *life) next(limit time.Duration) (sig Signal, ok bool) {
	l.flush()
	if l.host != nil {
		return l.host.Next(limit)
	}
	sig, errno := awaitSignal(^Set(0), &l.info, limit)
	switch errno {
	case 0:
		return sig, true
	case unix.EINTR:
		l.clock.froze = true
	case unix.EAGAIN:
	default:
		sleep(10 * time.Millisecond) // a sandbox refuses the call; without the pause this would be a busy loop
	}
	return 0, false
}
