package shim

import (
	"time"

	"github.com/cgshim/cgshim/shim/process"
)

// tick is how long to wait at the most while a countdown runs, and longestLap how much of
// the time since the last look counts. A container that is frozen (docker pause) does not
// run, and neither does its time to stop. Nothing else tells this process of a freeze.
const (
	tick       = 100 * time.Millisecond
	longestLap = 2 * tick
)

// stopwatch tells how long this process has been running.
type stopwatch struct {
	now  func() time.Duration
	last time.Duration
}

// lap is the time since the last one.
func (w *stopwatch) lap() time.Duration {
	now := w.now()
	lap := min(now-w.last, longestLap)
	w.last = now
	return lap
}

// countdown is time that is left for something. The zero value does not run.
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

// limit is how long to wait for a signal.
func (c *countdown) limit() time.Duration {
	if !c.running {
		return process.Forever
	}
	return min(c.left, tick)
}
