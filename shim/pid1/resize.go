package pid1

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// The container's limits are copied into the leaf before the program starts. The host
// resizes a container in place by a write to these limits. inotify(7) then raises the signal
// changed, and a helper copies them again. Between two writes nothing wakes this process up.

// How long the helper may take, and the shortest and longest pause before what could not be
// copied is tried again.
const (
	resizeTime    = 2 * time.Second
	shortestRetry = time.Second
	longestRetry  = time.Minute
)

// changesLimits reports whether the signal says that the limits have changed. The kernel
// sends SIGIO in its place where the queue of real-time signals is full (fcntl(2),
// F_SETSIG). No process can send a signal with an si_code above zero.
func (l *life) changesLimits(sig Signal) bool {
	if l.orders.Notify < 0 || sig != changed && sig != unix.SIGIO {
		return false
	}
	return l.host != nil || l.info.code > 0
}

// resize has a helper copy the limits. First it empties the queue of inotify. inotify merges
// a new event with the last event in the queue if both are equal (inotify(7)), so a change
// after the copy would not be reported.
func (l *life) resize() {
	l.copying = countdown{}
	for {
		n, errno := call(unix.SYS_READ, uintptr(l.orders.Notify), address(&l.events), uintptr(len(l.events)), 0)
		if errno != 0 || n == 0 {
			break
		}
	}
	if l.helper.pid != 0 { // it may have read the old limits
		l.again()
		return
	}
	l.orders.Again = true
	l.startLate(Resize, resizeTime)
	if l.helper.pid == 0 { // done, or there can be no helper
		l.resized(reaper.Exit{})
	}
}

// resized handles the end of the helper. What could not be copied is tried again.
func (l *life) resized(e reaper.Exit) {
	if l.orders.Again || e.Status != 0 {
		l.again()
		return
	}
	l.pause = 0
}

func (l *life) again() {
	l.pause = max(shortestRetry, min(2*l.pause, longestRetry))
	l.spend()
	l.copying = countdownOf(l.pause)
}
