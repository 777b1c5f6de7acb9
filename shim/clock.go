package shim

import (
	"time"

	"github.com/cgshim/cgshim/shim/process"
)

// tick is the longest wait while a countdown runs. longestLap is the most time that
// counts between two looks at the clock. If more time has passed, the container was
// frozen (docker pause). A frozen program cannot stop, so its time to stop must stand
// still. The kernel does not tell this process of a freeze.
const (
	tick       = 100 * time.Millisecond
	longestLap = 2 * tick
)

// stopwatch measures the time that this process has been running.
type stopwatch struct {
	now  func() time.Duration
	last time.Duration
}

// lap returns the time since the last call, but at most longestLap.
func (w *stopwatch) lap() time.Duration {
	now := w.now()
	lap := min(now-w.last, longestLap)
	w.last = now
	return lap
}

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
		return process.Forever
	}
	return min(c.left, tick)
}
