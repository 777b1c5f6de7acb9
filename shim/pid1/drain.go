package pid1

import (
	"time"

	"golang.org/x/sys/unix"
)

// drain ends the processes that the program left behind. It sends SIGTERM, waits, and sends
// SIGKILL. Without drain, the kernel would kill them without a SIGTERM when PID 1 exits
// (pid_namespaces(7)).
func (l *life) drain() {
	o := l.orders
	if o.DrainTimeout == 0 {
		return
	}
	l.reapEnded()
	if !l.anyLeft() {
		return
	}
	l.signalRest(unix.SIGTERM)
	l.signalRest(unix.SIGCONT) // a stopped process handles no signal but SIGKILL before it continues
	if l.abandoned {
		return // the wait would last until its end, because the program does not end
	}
	l.say(LineDrain, &values{})
	if l.awaitRest(o.DrainTimeout, true) {
		return
	}
	l.say(LineRest, &values{})
	l.signalRest(unix.SIGKILL)
	// A process in uninterruptible sleep does not end even by SIGKILL. When PID 1 exits, the
	// kernel waits for the processes of its PID namespace anyway. So stop waiting here after
	// a while.
	l.awaitRest(killGrace, false)
}

const (
	killGrace = 2 * time.Second
	drainTime = time.Second // for the helper
)

// reapEnded reaps the children that have ended, also if they are more than one pass of
// reapAll takes. It stops after a while, because living processes may make orphans without
// end.
func (l *life) reapEnded() {
	l.reapAll()
	for until := now() + tick; l.due && now() < until; {
		l.reapAll()
	}
}

// awaitRest reaps until no process is left or the time is up, and reports whether no process
// is left. With hurry, a stop signal ends the wait.
func (l *life) awaitRest(timeout time.Duration, hurry bool) bool {
	left := countdownOf(timeout)
	l.clock.lap()
	for l.anyLeft() {
		if left.spend(l.clock.lap()); left.over() {
			return false
		}
		limit := left.limit()
		if !l.orphans { // no process that is left is a child, so no SIGCHLD will come
			limit = min(limit, 20*time.Millisecond)
		}
		if l.due {
			limit = 0
		}
		sig, ok := l.next(limit)
		switch {
		case ok && sig == unix.SIGCHLD:
			l.due = true
		case ok && hurry && l.orders.StopSignals.Has(sig):
			return false
		}
		if l.due {
			l.reapAll()
		}
	}
	return true
}

// anyLeft reports whether a process is left. A process that was started from outside, for
// instance by docker exec, is not a child of this process.
func (l *life) anyLeft() bool { return l.orphans || l.pid1 && kill(-1, 0) == 0 }

// signalRest sends sig to every process that this process has to end. PID 1 has to end all
// the processes that it can see. kill(2) with pid -1 signals every process of the caller's
// PID namespace and of the namespaces below, except the caller. A helper ends what that does
// not reach: the inner containers by cgroup.kill, and the descendants of a process that is
// not PID 1. It is gone before the others are counted.
func (l *life) signalRest(sig Signal) {
	if !l.pid1 || sig == unix.SIGKILL && l.orders.Delegated {
		l.orders.Signal = sig
		l.startLate(Drain, drainTime)
		l.awaitLate()
	}
	if l.pid1 {
		kill(-1, sig)
	}
}
