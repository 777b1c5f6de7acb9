package pid1

import (
	"testing"
	"time"
)

func TestCountdown(t *testing.T) {
	for _, c := range []struct {
		name  string
		c     countdown
		spent time.Duration
		over  bool
		limit time.Duration
	}{
		{"one that does not run never ends a wait", countdown{}, time.Hour, false, forever},
		{"one that runs wakes up each tick", countdownOf(time.Second), 0, false, tick},
		{"and at its end", countdownOf(time.Second), time.Second - tick/2, false, tick / 2},
		{"at its end it is over", countdownOf(time.Second), time.Second, true, 0},
		{"after its end too", countdownOf(time.Second), time.Minute, true, 0},
		{"one of no time is over at once", countdownOf(0), 0, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.c.spend(c.spent / 2)
			c.c.spend(c.spent - c.spent/2)
			if c.c.over() != c.over || c.c.limit() != c.limit {
				t.Errorf("over %v, limit %v", c.c.over(), c.c.limit())
			}
		})
	}
}

// Only the time in which this process was not frozen counts.
func TestStopwatch(t *testing.T) {
	const slack = longestLap / 4 // for a machine that is busy
	for _, c := range []struct {
		name        string
		ago         time.Duration // since the last lap
		froze       bool
		least, most time.Duration
	}{
		{"a lap counts", tick, false, tick, tick + slack},
		{"one of a slow machine too", longestLap - slack - tick, false, longestLap - slack - tick, longestLap},
		{"one that is longer is a freeze, of which a tick counts", time.Hour, false, tick, tick},
		{"after a freeze a tick counts", longestLap / 2, true, tick, tick},
		{"after a freeze a shorter lap counts", 0, true, 0, tick},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := stopwatch{last: now() - c.ago, froze: c.froze}
			if lap := w.lap(); lap < c.least || lap > c.most {
				t.Errorf("%v, want %v to %v", lap, c.least, c.most)
			}
			if w.froze {
				t.Error("the next lap counts as a freeze too")
			}
		})
	}
	t.Run("the first lap, and the first after a stop, is 0", func(t *testing.T) {
		var w stopwatch
		if lap := w.lap(); lap != 0 {
			t.Errorf("%v", lap)
		}
		w.last -= time.Second
		w.stop()
		if lap := w.lap(); lap != 0 {
			t.Errorf("%v after a stop", lap)
		}
	})
}

func TestTheNearestDeadlineEndsTheWait(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*life)
		counts bool
		want   time.Duration
	}{
		{"none", func(*life) {}, false, forever},
		{"the stop time-out", func(l *life) { l.stopping = countdownOf(time.Millisecond) }, true, time.Millisecond},
		{"the pages", func(l *life) { l.settling = countdownOf(2 * time.Millisecond) }, true, 2 * time.Millisecond},
		{"the limits", func(l *life) { l.copying = countdownOf(3 * time.Millisecond) }, true, 3 * time.Millisecond},
		{"a helper", func(l *life) { l.helper.left = countdownOf(4 * time.Millisecond) }, true, 4 * time.Millisecond},
		{"the nearest of two", func(l *life) { l.stopping, l.copying = countdownOf(5), countdownOf(4) }, true, 4},
		{"a child that has ended", func(l *life) { l.due = true }, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife()
			c.set(l)
			if l.wait() != c.want || l.counts() != c.counts {
				t.Errorf("wait %v, want %v; counts %v", l.wait(), c.want, l.counts())
			}
		})
	}
	t.Run("what has passed is taken off each", func(t *testing.T) {
		l := newLife()
		all := []*countdown{&l.stopping, &l.settling, &l.copying, &l.helper.left}
		for _, c := range all {
			*c = countdownOf(longestLap)
		}
		l.clock.last = now() - tick
		l.spend()
		for i, c := range all {
			if c.left > longestLap-tick || c.left < 0 {
				t.Errorf("%d: %v left", i, c.left)
			}
		}
	})
	t.Run("without one the watch stands still", func(t *testing.T) {
		l := newLife()
		l.clock.last = now() - time.Second
		if l.spend(); l.clock.last != 0 {
			t.Error("it runs")
		}
	})
}

// A retry waits longer each time, up to a minute.
func TestAgain(t *testing.T) {
	l := newLife()
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		if l.again(); l.pause != want*time.Second || !l.copying.running || l.copying.left != l.pause {
			t.Errorf("%v, want %d s; %+v", l.pause, want, l.copying)
		}
	}
}
