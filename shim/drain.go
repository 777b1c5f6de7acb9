package shim

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/process"
)

// drain ends what the program left behind: TERM, wait, KILL. When PID 1 exits the
// kernel kills the rest of the PID namespace without a TERM (pid_namespaces(7)).
func (s *shim) drain() {
	if s.DrainTimeout == 0 {
		return
	}
	s.reapAll()
	if !s.anyLeft() {
		return
	}
	s.signalRest(unix.SIGTERM)
	s.signalRest(unix.SIGCONT) // a process that is stopped takes no signal but KILL before
	s.lines.drain.say(nil)
	if s.awaitRest(s.DrainTimeout, true) {
		return
	}
	if s.delegated && s.pid1 { // beside another PID 1 the inner containers are its program's
		if errno := s.cgroup.KillOthers(); errno != 0 {
			s.lines.noKill.say(&values{errno: errno})
		}
	}
	s.signalRest(unix.SIGKILL)
	s.lines.rest.say(nil)
	// SIGKILL cannot be refused, but a process in uninterruptible sleep does not
	// end: the kernel waits for those of a PID namespace when PID 1 exits, so it
	// makes no difference to stop waiting here.
	s.awaitRest(killGrace, false)
}

const killGrace = 2 * time.Second

// awaitRest reaps until no process is left, and reports whether that is so when the time
// is up. A stop signal meanwhile, with hurry, ends the wait.
func (s *shim) awaitRest(timeout time.Duration, hurry bool) bool {
	left := countdownOf(timeout)
	s.clock.lap()
	for s.anyLeft() {
		if left.spend(s.clock.lap()); left.over() {
			return false
		}
		limit := left.limit()
		if !s.orphans { // no SIGCHLD will tell
			limit = min(limit, 20*time.Millisecond)
		}
		e, ok := s.signals.Next(limit)
		switch {
		case ok && e.Signal == unix.SIGCHLD:
			s.reapAll()
		case ok && hurry && s.isStop(e.Signal):
			return false
		}
	}
	return true
}

// anyLeft reports whether a process is left. A process that was started from outside, as
// by docker exec, is no child of this one.
func (s *shim) anyLeft() bool {
	return s.orphans || s.pid1 && s.kill(-1, 0) == 0
}

// signalRest sends sig to everything that this process answers for. As PID 1 that
// is every process it can see (kill(2), pid -1: all but the caller, and only those
// in its own PID namespace and below); otherwise its descendants.
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

// descends reports whether ancestor is among the parents of pid. A process that ends
// meanwhile has another parent then, which is an ancestor too.
func descends(pid, ancestor int) bool {
	const deepest = 1000
	for range deepest {
		if pid = process.Parent(pid); pid <= 1 || pid == ancestor {
			break
		}
	}
	return pid == ancestor
}
