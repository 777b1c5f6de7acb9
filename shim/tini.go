package shim

import (
	"errors"
	"strings"
	"syscall"

	"github.com/cgshim/cgshim/shim/pid1"
)

// This file has the messages of tini 0.19 (tini.c), which this program writes under a name
// of tini.

// orderTiniLines renders the messages that tini may write.
func (j *job) orderTiniLines() {
	j.render(j.tiniLines())
	// tini's child writes these.
	j.orders.SetLine(pid1.LineNoTTY, j.template(j.log.ChildLine(LevelDebug, "tcsetpgrp failed: no tty (ok to proceed)")))
	j.orders.SetLine(pid1.LineNotExecuted, j.template(j.log.ChildLine(LevelError, "exec "+markProgram+" failed: "+pid1.SlotStrerror.Mark())))
}

// tiniLines returns the messages that tini itself may write while the program runs and at its
// end.
func (j *job) tiniLines() []line {
	pid, errno := slot(pid1.SlotPID), pid1.SlotErrno.Mark()
	text, signal, strerror, status := pid.Mark(), pid1.SlotSignalText.Mark(), pid1.SlotStrerror.Mark(), pid1.SlotStatus.Mark()
	lines := []line{
		{pid1.LineSpawned, LevelInfo, "Spawned child process '" + markProgram + "' with pid '" + text + "'", nil},
		{pid1.LineChild, LevelDebug, "Received SIGCHLD", nil},
		{pid1.LineForward, LevelDebug, "Passing signal: '" + signal + "'", nil},
		{pid1.LineFailed, LevelWarn, "Child was dead when forwarding signal", nil},
		{pid1.LineUnsent, LevelWarn, "Unexpected error when forwarding signal: '" + strerror + "'", nil},
		{pid1.LineReaped, LevelDebug, "Reaped child with pid: '" + text + "'", nil},
		{pid1.LineMain, LevelDebug, "Reaped child with pid: '" + text + "'", nil},
		{pid1.LineLeft, LevelTrace, "No child to reap", nil},
		{pid1.LineNone, LevelTrace, "No child to wait", nil},
		{pid1.LineLate, LevelWarn, "child did not stop in time, killing it", []any{"pid", pid}},
		{pid1.LineRefused, LevelWarn, "child did not stop in time and may not be killed", []any{"pid", pid, "err", errno}},
		{pid1.LineAbandoned, LevelWarn, "child may not be killed, exiting so that the kernel kills it", []any{"pid", pid, "err", errno}},
		{pid1.LineDetach, LevelWarn, "traced child not detached", []any{"pid", pid, "err", errno}},
		{pid1.LineDrain, LevelInfo, "draining", nil},
		{pid1.LineRest, LevelWarn, "processes are left after the drain timeout, killing them", nil},
		{pid1.LineNoStart, LevelError, "fork failed: " + strerror, nil},
		{pid1.LineExited, LevelInfo, "Main child exited normally (with status '" + status + "')", nil},
		{pid1.LineSignaled, LevelInfo, "Main child exited with signal (with signal '" + signal + "')", nil},
		{pid1.LineAbnormal, LevelInfo, "Main child exited with signal (with signal '" + signal + "')", nil},
		{pid1.LineLeave, LevelTrace, "Exiting: child has exited", nil},
	}
	if j.WarnOnReap {
		lines = append(lines, line{pid1.LineZombie, LevelWarn, "Reaped zombie process with pid=" + text, nil})
	}
	return lines
}

// strerror returns the text of strerror(3) in glibc, which tini prints.
func strerror(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return capital(errno.Error())
	}
	return capital(err.Error())
}

// cannotBeInit logs why a prctl(2) of adopt failed.
func (j *job) cannotBeInit(err error) {
	switch {
	case !j.Tini:
		j.log.Log(LevelError, "cannot be an init", "err", err)
	case strings.Contains(err.Error(), "PR_SET_PDEATHSIG"):
		j.log.Log(LevelError, "Failed to set up parent death signal")
	default:
		j.log.Log(LevelError, "Failed to register as child subreaper: "+strerror(err))
	}
}
