package shim

import (
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
	"github.com/cgshim/cgshim/shim/process"
)

// forward sends the program the signal that this process got, or the signal that
// --rewrite replaces it with. It writes the log line afterwards.
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
	// A failure is no reason to end the container. The program may have become another
	// user (EPERM, kill(2)) or may have left its group (ESRCH).
	errno := s.kill(v.pid, sig)
	if s.isStop(sig) || s.isStop(e.Signal) {
		s.startStopping()
	}
	s.lines.forward.say(&v)
	v.errno = errno
	switch errno {
	case 0:
	case unix.ESRCH:
		s.lines.failed.say(&v)
	default:
		s.lines.unsent.say(&v)
	}
}

// isStop reports whether sig asks the program to end.
func (s *shim) isStop(sig process.Signal) bool { return s.StopSignals.Has(sig) }

// stopPending reports whether a stop signal is pending.
func (s *shim) stopPending() bool { return s.signals.Pending()&s.StopSignals != 0 }

func (s *shim) startStopping() {
	if s.StopTimeout > 0 && !s.stopping.running {
		s.spend() // the time before the signal is no part of the program's time to stop
		s.stopping = countdownOf(s.StopTimeout)
	}
}

// kill1 kills the program, which did not stop in time. The kernel may refuse to kill a
// program of another user (EPERM, kill(2)). Then PID 1 exits, and the kernel kills
// every process of the PID namespace (pid_namespaces(7)).
func (s *shim) kill1() {
	s.stopping = countdown{}
	if s.KillGroup {
		s.kill(-s.child, unix.SIGKILL)
	}
	errno := s.kill(s.child, unix.SIGKILL) // the program may have left its group
	v := values{pid: s.child, errno: errno}
	switch {
	case errno == 0 || errno == unix.ESRCH:
		s.lines.late.say(&v)
	case s.pid1:
		s.lines.abandoned.say(&v)
		s.exit, s.ended, s.abandoned = reaper.Exit{PID: s.child, Status: unix.WaitStatus(unix.SIGKILL)}, true, true
	default:
		s.lines.refused.say(&v)
	}
}
