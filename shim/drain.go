package shim

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/process"
)

// drain ends the processes that the program left behind. It sends SIGTERM, waits, and
// sends SIGKILL. Without drain, the kernel would kill them without a SIGTERM when PID 1
// exits (pid_namespaces(7)).
func (s *shim) drain() {
	if s.DrainTimeout == 0 {
		return
	}
	s.reapEnded()
	if !s.anyLeft() {
		return
	}
	s.signalRest(unix.SIGTERM)
	s.signalRest(unix.SIGCONT) // a stopped process handles no signal but SIGKILL before it continues
	if s.abandoned {
		return // the wait would last until its end, because the program does not end
	}
	s.lines.drain.say(nil)
	if s.awaitRest(s.DrainTimeout, true) {
		return
	}
	// If this process is not PID 1, the inner containers belong to the program of PID 1.
	if s.delegated && s.pid1 {
		if errno := s.cgroup.KillOthers(); errno != 0 {
			s.lines.noKill.say(&values{errno: errno})
		}
	}
	s.signalRest(unix.SIGKILL)
	s.lines.rest.say(nil)
	// A process in uninterruptible sleep does not end even by SIGKILL. When PID 1
	// exits, the kernel waits for the processes of its PID namespace anyway. So stop
	// waiting here after a while.
	s.awaitRest(killGrace, false)
}

// reapEnded reaps the children that have ended, also if they are more than one pass of
// reapAll takes. It stops after a while, because living processes may make orphans without
// end.
func (s *shim) reapEnded() {
	s.reapAll()
	for until := s.now() + tick; s.due && s.now() < until; {
		s.reapAll()
	}
}

const killGrace = 2 * time.Second

// awaitRest reaps until no process is left or the time is up, and reports whether no
// process is left. With hurry, a stop signal ends the wait.
func (s *shim) awaitRest(timeout time.Duration, hurry bool) bool {
	left := countdownOf(timeout)
	s.clock.lap()
	for s.anyLeft() {
		if left.spend(s.clock.lap()); left.over() {
			return false
		}
		limit := left.limit()
		if !s.orphans { // no process that is left is a child, so no SIGCHLD will come
			limit = min(limit, 20*time.Millisecond)
		}
		e, ok := s.signals.Next(s.wait(limit))
		switch {
		case ok && e.Signal == unix.SIGCHLD:
			s.due = true
		case ok && hurry && s.isStop(e.Signal):
			return false
		}
		if s.due {
			s.reapAll()
		}
	}
	return true
}

// anyLeft reports whether a process is left. A process that was started from outside,
// for instance by docker exec, is not a child of this process.
func (s *shim) anyLeft() bool {
	return s.orphans || s.pid1 && s.kill(-1, 0) == 0
}

// signalRest sends sig to every process that this process has to end. PID 1 has to end
// all the processes that it can see. kill(2) with pid -1 signals every process of the
// caller's PID namespace and of the namespaces below, except the caller. Another process
// has to end its descendants.
func (s *shim) signalRest(sig process.Signal) {
	if s.pid1 {
		s.kill(-1, sig)
		return
	}
	self := os.Getpid()
	process.EachProcess(func(pid int) bool {
		if descends(pid, self) {
			s.kill(pid, sig)
		}
		return true
	})
}

// descends reports whether ancestor is an ancestor of pid. A process in between may end
// meanwhile. Its children then get another parent, which is an ancestor of theirs too.
func descends(pid, ancestor int) bool {
	const deepest = 1000
	for range deepest {
		if pid = process.Parent(pid); pid <= 1 || pid == ancestor {
			break
		}
	}
	return pid == ancestor
}
