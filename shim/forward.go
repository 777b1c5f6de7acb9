package shim

import (
	"time"

	"golang.org/x/sys/unix"
)

// forward sends the child the signal that this process got, or the one it is
// rewritten to.
func (s *shim) forward(e event) {
	sig, rewritten := s.Rewrite[e.signal]
	if !rewritten {
		sig = e.signal
	}
	if sig == 0 || !rewritten && !forwardable(sig) {
		s.log.Log(Debug, "signal not forwarded", "signal", SignalName(e.signal), "from_pid", int(e.pid), "from_uid", int(e.uid))
		return
	}
	if sig == unix.SIGCONT && s.tty.resume(s.child) {
		return
	}
	s.log.Log(Debug, "forwarding signal", "signal", SignalName(sig), "received", SignalName(e.signal),
		"from_pid", int(e.pid), "from_uid", int(e.uid), "pid", s.child)
	s.sent[sig] = true
	s.send(sig)
	if (isStop(sig) || isStop(e.signal)) && s.StopTimeout > 0 && s.killAt.IsZero() {
		s.killAt = time.Now().Add(s.StopTimeout)
	}
}

// isStop reports whether who sends sig wants an end.
func isStop(sig Signal) bool {
	return sig == unix.SIGTERM || sig == unix.SIGINT || sig == unix.SIGQUIT
}

// Rewritable reports whether sig can reach this process and so be rewritten.
func Rewritable(sig Signal) bool {
	return forwardable(sig) || sig == unix.SIGTTIN || sig == unix.SIGTTOU
}

// send signals the child or, with KillGroup, its process group. Not being able
// to is no reason to end the container: the child may have become another user
// (EPERM, kill(2)) or have left its group (ESRCH).
func (s *shim) send(sig Signal) {
	target := s.child
	if s.KillGroup {
		target = -s.child
	}
	if err := unix.Kill(target, sig); err != nil {
		s.log.Log(Warn, "cannot forward signal", "signal", SignalName(sig), "pid", target, "err", err)
	}
}
