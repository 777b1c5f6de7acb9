package shim

import (
	"errors"
	"os"
	"strings"
	"syscall"
)

// This file has the messages of tini 0.19 (tini.c), which this process writes under a
// name of tini.

// tiniLines are the messages that tini may write while the program runs and at its end.
func tiniLines(log Log, program string, warnOnReap bool) lines {
	pid := SlotPID.Text()
	l := lines{
		spawned:   log.Line(LevelInfo, "Spawned child process '"+program+"' with pid '"+pid+"'"),
		chld:      log.Line(LevelDebug, "Received SIGCHLD"),
		forward:   log.Line(LevelDebug, "Passing signal: '"+SlotSignalText.Text()+"'"),
		failed:    log.Line(LevelWarn, "Child was dead when forwarding signal"),
		unsent:    log.Line(LevelWarn, "Unexpected error when forwarding signal: '"+SlotStrerror.Text()+"'"),
		reaped:    log.Line(LevelDebug, "Reaped child with pid: '"+pid+"'"),
		main:      log.Line(LevelDebug, "Reaped child with pid: '"+pid+"'"),
		left:      log.Line(LevelTrace, "No child to reap"),
		none:      log.Line(LevelTrace, "No child to wait"),
		late:      log.Line(LevelWarn, "child did not stop in time, killing it", "pid", SlotPID),
		refused:   log.Line(LevelWarn, "child did not stop in time and may not be killed", "pid", SlotPID, "err", SlotErrno),
		abandoned: log.Line(LevelWarn, "child may not be killed, exiting so that the kernel kills it", "pid", SlotPID, "err", SlotErrno),
		detach:    log.Line(LevelWarn, "traced child not detached", "pid", SlotPID, "err", SlotErrno),
		drain:     log.Line(LevelInfo, "draining"),
		rest:      log.Line(LevelWarn, "processes are left after the drain timeout, killing them"),
		exited:    log.Line(LevelInfo, "Main child exited normally (with status '"+SlotStatus.Text()+"')"),
		leave:     log.Line(LevelTrace, "Exiting: child has exited"),

		noTTY:       log.ChildLine(LevelDebug, "tcsetpgrp failed: no tty (ok to proceed)"),
		notExecuted: log.ChildLine(LevelError, "exec "+program+" failed: "+SlotStrerror.Text()),
	}
	if warnOnReap {
		l.zombie = log.Line(LevelWarn, "Reaped zombie process with pid="+pid)
	}
	l.signaled = log.Line(LevelInfo, "Main child exited with signal (with signal '"+SlotSignalText.Text()+"')")
	l.abnormal, l.signaledOOM, l.exitedOOM = l.signaled, l.signaled, l.exited
	return l
}

// tellExec logs once that the program could not be executed. tini's child logs that, and
// first says that standard input is no terminal.
func (s *shim) tellExec() {
	if s.toldExec {
		return
	}
	s.toldExec = true
	v := values{pid: s.child, errno: s.execErrno}
	if s.child != 0 && s.tty.noTTY {
		s.lines.noTTY.say(&v)
	}
	if s.child == 0 { // with -x
		v.pid = os.Getpid()
	}
	s.lines.notExecuted.say(&v)
}

// tellChild logs that SIGCHLD has come. If the program could not be executed, tini's child
// has said so before it ended.
func (s *shim) tellChild() {
	if s.Tini {
		if s.execErrno = s.program.Failed(); s.execErrno != 0 {
			s.tellExec()
		}
	}
	s.lines.chld.say(nil)
}

// tellLeft logs whether children are left, once those that have ended are reaped. If the
// program has ended, the line comes after the line about that, from tellEnd.
func (s *shim) tellLeft() {
	if !s.ended && !s.due {
		s.sayLeft()
	}
}

// tellEnd logs that this process exits, because the program has ended.
func (s *shim) tellEnd() {
	s.sayLeft()
	s.lines.leave.say(nil)
}

func (s *shim) sayLeft() {
	if s.orphans {
		s.lines.left.say(nil)
		return
	}
	s.lines.none.say(nil)
}

// strerror returns the text of strerror(3) in glibc, which tini prints.
func strerror(err error) string {
	var errno syscall.Errno
	text := err.Error()
	if errors.As(err, &errno) {
		text = errno.Error()
	}
	return string(appendCapital(nil, text))
}

// appendCapital appends text with a capital letter at its beginning. glibc's texts have
// one, and Go's have none.
func appendCapital(b []byte, text string) []byte {
	at := len(b)
	b = append(b, text...)
	if at < len(b) && b[at] >= 'a' && b[at] <= 'z' {
		b[at] -= 'a' - 'A'
	}
	return b
}

// cannotBeInit logs why a prctl(2) of adopt failed.
func (s *shim) cannotBeInit(err error) {
	switch {
	case !s.Tini:
		s.log.Log(LevelError, "cannot be an init", "err", err)
	case strings.Contains(err.Error(), "PR_SET_PDEATHSIG"):
		s.log.Log(LevelError, "Failed to set up parent death signal")
	default:
		s.log.Log(LevelError, "Failed to register as child subreaper: "+strerror(err))
	}
}

// cannotStart logs why no process could be created for the program.
func (s *shim) cannotStart(errno syscall.Errno) {
	if s.Tini {
		s.log.Log(LevelError, "fork failed: "+strerror(errno))
		return
	}
	s.log.Log(LevelError, "cannot start a process", "err", errno, "hint", startHint(errno))
}
