package shim

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/process"
)

// report logs how the program ended and returns the exit status. If the end is
// abnormal, one line at the default level has the reason.
func (s *shim) report() int {
	if errno := s.program.Failed(); errno != 0 {
		status := s.cannotExecute(errno)
		if s.Tini { // tini's child ends with this status
			s.lines.exited.say(&values{status: status})
			s.tellEnd()
		}
		return s.expect(status)
	}
	code := s.exit.Code()
	status := s.expect(code)
	if s.abandoned { // it has not ended yet
		return status
	}
	v := values{pid: s.child, status: status, elapsed: s.now() - s.started}
	if s.Tini { // tini logs the status before -e changes it
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
	s.tellEnd()
	return status
}

// cannotExecute logs why the program could not be executed, and returns the exit status.
func (s *shim) cannotExecute(errno syscall.Errno) int {
	s.execErrno = errno
	if s.Tini {
		s.tellExec()
	} else if !s.sayAnswer(s.lines.notExecuted, s.explainFailure) {
		s.lines.notExecuted.say(&values{errno: errno})
	}
	switch errno {
	case unix.ENOENT:
		return ExitNotFound
	case unix.EACCES:
		return ExitNotExecutable
	}
	return ExitFailure
}

// warnOfShell explains why /bin/sh failed on the program. A shell cannot read a binary
// for another architecture. tini has no such line.
func (s *shim) warnOfShell() {
	s.sayAnswer(s.lines.viaShell, s.explainShell)
}

// sayAnswer writes in place of line the line that a child returns (process.Ask). It reports
// whether there was one. There is none if line is not shown, if the file system does not
// answer in time, or if there can be no child. The exit status does not depend on it.
func (s *shim) sayAnswer(line *Line, explain func() string) bool {
	if line == nil {
		return false
	}
	text := s.ask(explain, reasonTime, s.hurry)
	if len(text) == 0 {
		return false
	}
	text[len(text)-1] = '\n' // Ask has cut a longer answer
	line.write(text)
	return true
}

// The child finds the reason in the program's files, relative to the directory that this
// process was started in. The child also renders the line, because that allocates memory.

func (s *shim) failureLine() string {
	process.Chdir(s.dir)
	return s.log.Render(LevelError, "cannot execute", "program", s.Args[0], "err", s.execErrno, "reason", diagnose(s.Args[0], s.Env, s.execErrno))
}

func (s *shim) shellLine() string {
	process.Chdir(s.dir)
	reason := otherMachine(findFile(s.Args[0], s.Env))
	if reason == "" {
		return ""
	}
	return s.log.Render(LevelWarn, "program is read by /bin/sh", "program", s.Args[0], "reason", reason)
}

// reasonTime is how long the end of this process may be put off for a reason in the log.
const reasonTime = 500 * time.Millisecond

// startHint says what the user can change if no process could be created.
func startHint(errno syscall.Errno) string {
	switch errno {
	case unix.EAGAIN:
		return "the limit of processes is reached: raise --pids-limit, pids.max or RLIMIT_NPROC"
	case unix.ENOMEM:
		return "the container has no memory left, or its PID namespace is ending: raise its memory limit"
	}
	return ""
}
