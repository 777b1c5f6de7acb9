package shim

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/process"
)

// report says how the program ended and returns the exit status. One line at the default
// level says why where the end is abnormal.
func (s *shim) report() int {
	if errno := s.program.Failed(); errno != 0 {
		process.Chdir(s.dir)
		return s.expect(s.cannotExecute(errno))
	}
	code := s.exit.Code()
	status := s.expect(code)
	v := values{pid: s.child, status: status, elapsed: s.now() - s.started}
	if s.Tini { // it tells the status before -e
		v.status = code
	}
	if code != 0 {
		if s.program.ViaShell() {
			s.warnOfShell()
		}
		if n, ok := s.cgroup.OOMKills(); ok && n > s.oomKills {
			v.kills = n - s.oomKills
		}
	}
	line := s.lines.exited
	if v.kills > 0 {
		line = s.lines.exitedOOM
	}
	if s.exit.Status.Signaled() {
		v.signal, v.core = s.exit.Status.Signal(), s.exit.Status.CoreDump()
		switch {
		case v.kills > 0:
			line = s.lines.signaledOOM
		case s.sent.Has(v.signal):
			line = s.lines.signaled
		default:
			line = s.lines.abnormal
		}
	}
	line.say(&v)
	s.lines.leave.say(&v)
	return status
}

// warnOfShell explains the end of a program that /bin/sh was given: a binary for another
// machine makes a strange script.
func (s *shim) warnOfShell() {
	process.Chdir(s.dir)
	level := LevelWarn
	if s.Tini {
		level = LevelInfo
	}
	if reason := otherMachine(findFile(s.Args[0], s.Env)); reason != "" {
		s.log.Log(level, "program is read by /bin/sh", "program", s.Args[0], "reason", reason)
	}
}

// startHint says what to change where no process could be made.
func startHint(errno syscall.Errno) string {
	switch errno {
	case unix.EAGAIN:
		return "the limit of processes is reached: raise --pids-limit, pids.max or RLIMIT_NPROC"
	case unix.ENOMEM:
		return "the container has no memory left, or its PID namespace is ending: raise its memory limit"
	}
	return ""
}

// strerror is what strerror(3) of glibc says, as tini does.
func strerror(err error) string {
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		text = errno.Error()
	}
	return string(text[0]-'a'+'A') + text[1:]
}
