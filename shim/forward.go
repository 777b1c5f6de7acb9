package shim

import (
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
	"github.com/cgshim/cgshim/shim/process"
)

// forward sends the program the signal that this process got, or the signal that it is
// rewritten to. What is said of it is said afterwards.
func (s *shim) forward(e process.Event) {
	sig := s.rewrite[e.Signal]
	v := values{signal: sig, received: e.Signal, fromPID: int(e.PID), fromUID: int(e.UID), pid: s.child}
	switch {
	case sig == 0:
		s.lines.drop.say(&v)
		return
	case sig == unix.SIGCONT && s.tty.resume(s.child):
		return
	}
	s.sent |= process.SetOf(sig)
	if s.KillGroup {
		v.pid = -s.child
	}
	// Not being able to is no reason to end the container: the program may have become
	// another user (EPERM, kill(2)) or have left its group (ESRCH).
	errno := s.kill(v.pid, sig)
	if s.isStop(sig) || s.isStop(e.Signal) {
		s.startStopping()
	}
	s.lines.forward.say(&v)
	if errno != 0 {
		v.errno = errno
		s.lines.failed.say(&v)
	}
}

// isStop reports whether a process that sends sig wants the program to end.
func (s *shim) isStop(sig process.Signal) bool { return s.StopSignals.Has(sig) }

// stopPending reports whether a signal that asks for an end waits to be taken.
func (s *shim) stopPending() bool { return s.signals.Pending()&s.StopSignals != 0 }

func (s *shim) startStopping() {
	if s.StopTimeout > 0 && !s.stopping.running {
		s.stopping = countdownOf(s.StopTimeout)
	}
}

// kill1 kills the program, which did not stop in time. A program of another user may not
// be killed (EPERM, kill(2)). The kernel kills it when PID 1 exits (pid_namespaces(7)), so
// PID 1 does.
func (s *shim) kill1() {
	s.stopping = countdown{}
	if s.KillGroup {
		s.kill(-s.child, unix.SIGKILL)
	}
	errno := s.kill(s.child, unix.SIGKILL) // it may have left its group
	v := values{pid: s.child, errno: errno}
	s.lines.late.say(&v)
	if errno == 0 || errno == unix.ESRCH {
		return
	}
	s.lines.refused.say(&v)
	if s.pid1 {
		s.exit, s.ended = reaper.Exit{PID: s.child, Status: unix.WaitStatus(unix.SIGKILL)}, true
	}
}
