package shim

import (
	"path"
	"syscall"

	"github.com/cgshim/cgshim/shim/pid1"
)

// line is a log line for PID 1. Its message and its values may have marks of slots.
type line struct {
	id    pid1.LineID
	level Level
	msg   string
	facts []any
}

// orderLines renders the log lines that PID 1 may write. Under a name of tini they have
// tini's texts, because users of tini look for these.
func (j *job) orderLines() {
	if j.Tini {
		j.orderTiniLines()
	} else {
		j.render(j.lines())
	}
	o := j.orders
	for sig := Signal(1); sig < pid1.NumSignals; sig++ {
		o.SetSignal(sig, SignalName(sig), signalText(sig))
	}
	const lastErrno = 133 // EHWPOISON
	for errno := syscall.Errno(1); errno <= lastErrno; errno++ {
		o.SetErrno(errno, errno.Error())
	}
}

func (j *job) render(lines []line) {
	for _, l := range lines {
		j.orders.SetLine(l.id, j.template(j.log.Line(l.level, l.msg, l.facts...)))
	}
}

func (j *job) lines() []line {
	mark := pid1.Slot.Mark
	pid, signal, errno := slot(pid1.SlotPID), mark(pid1.SlotSignal), mark(pid1.SlotErrno)
	reaped := LevelDebug
	if j.WarnOnReap {
		reaped = LevelWarn
	}
	from := []any{"from_pid", slot(pid1.SlotFromPID), "from_uid", slot(pid1.SlotFromUID)}
	exit := []any{"pid", pid, "program", path.Base(j.program()), "status", slot(pid1.SlotStatus), "elapsed", mark(pid1.SlotElapsed)}
	bySignal := with(exit, "signal", signal, "core_dumped", slot(pid1.SlotCore))
	return []line{
		{pid1.LineSpawned, LevelInfo, "spawned child", []any{"pid", pid, "program", j.program()}},
		{pid1.LineForward, LevelDebug, "forwarding signal", with([]any{"signal", signal, "received", mark(pid1.SlotReceived), "pid", pid}, from...)},
		{pid1.LineDrop, LevelDebug, "signal not forwarded", with([]any{"signal", mark(pid1.SlotReceived)}, from...)},
		{pid1.LineFailed, LevelWarn, "cannot forward signal", []any{"signal", signal, "pid", pid, "err", errno}},
		{pid1.LineUnsent, LevelWarn, "cannot forward signal", []any{"signal", signal, "pid", pid, "err", errno}},
		{pid1.LineReaped, reaped, "reaped orphan", []any{"pid", pid, "status", slot(pid1.SlotStatus)}},
		{pid1.LineLate, LevelWarn, "child did not stop in time, killing it", []any{"pid", pid, "timeout", j.StopTimeout}},
		{pid1.LineRefused, LevelWarn, "child did not stop in time and may not be killed", []any{"pid", pid, "timeout", j.StopTimeout, "err", errno}},
		{pid1.LineAbandoned, LevelWarn, "child may not be killed, exiting so that the kernel kills it", []any{"pid", pid, "timeout", j.StopTimeout, "err", errno}},
		{pid1.LineDetach, LevelWarn, "traced child not detached", []any{"pid", pid, "err", errno}},
		{pid1.LineDrain, LevelInfo, "draining", []any{"timeout", j.DrainTimeout}},
		{pid1.LineRest, LevelWarn, "processes are left after the drain timeout, killing them", []any{"timeout", j.DrainTimeout}},
		{pid1.LineNoStart, LevelError, "cannot start a process", []any{"err", errno, "hint", startHint}},
		{pid1.LineNotExecuted, LevelError, "cannot execute", []any{"program", j.program(), "err", errno}},
		{pid1.LineExited, LevelInfo, "child exited", exit},
		{pid1.LineSignaled, LevelInfo, "child ended by signal", bySignal},
		{pid1.LineAbnormal, LevelWarn, "child ended by signal", bySignal},
	}
}

// startHint says what the user can change if no process could be created.
const startHint = "raise the limit of processes (--pids-limit, pids.max, RLIMIT_NPROC) or of memory; after the end of a PID namespace there can be no process in it"

// with appends to a copy of list.
func with(list []any, more ...any) []any { return append(list[:len(list):len(list)], more...) }

// slot is a value that PID 1 fills in without quotes.
type slot = pid1.Slot

// Marks of the two texts that are the same in each line. They stand for the text while the
// line is rendered, so that no text that a user chooses can look like a mark.
const (
	MarkName    = "\x00A" // the name of this program
	markProgram = "\x00B"
)
