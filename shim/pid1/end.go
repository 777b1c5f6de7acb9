package pid1

import (
	"time"

	"golang.org/x/sys/unix"
)

// Exit statuses. 128+n means that signal n ended the program.
const (
	ExitFailure       = 1   // usage or internal error
	ExitRequire       = 125 // a delegation is required and not possible
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// reasonTime is how long the end of this process may be put off for a reason in the log.
const reasonTime = 500 * time.Millisecond

// replace makes this process the program. It returns never.
func (l *life) replace() {
	l.flush()
	awaitSignal(bit(unix.SIGCHLD), &l.info, 0) // the end of the helper
	errno := l.execute()
	l.orders.Outcome.ExecErrno = uint32(errno)
	status := l.expect(l.notExecuted())
	l.flush()
	exit(status)
}

// report logs how the program ended and returns the exit status. If the end is abnormal, a
// helper looks for the reason.
func (l *life) report() int {
	o := l.orders
	o.Outcome.PID, o.Outcome.Status, o.Outcome.Ended = l.child, l.exit.Status, true
	v := values{pid: l.child, status: l.exit.Code(), elapsed: now() - l.started}
	if o.Outcome.ExecErrno != 0 {
		v.status = l.notExecuted()
		if o.Tini { // tini's child ends with this status
			l.say(LineExited, &v)
			l.tellEnd()
		}
		return l.expect(v.status)
	}
	status := l.expect(v.status)
	if l.abandoned { // it has not ended yet
		return status
	}
	if !o.Tini { // tini logs the status before -e changes it
		v.status = status
	}
	if l.exit.Code() == 0 || !o.Explains || !l.explain(v.elapsed) {
		l.sayEnd(&v)
	}
	l.tellEnd()
	return status
}

func (l *life) sayEnd(v *values) {
	line := LineExited
	if l.exit.Signaled() {
		v.signal, v.core = l.exit.Signal(), l.exit.Core()
		line = LineAbnormal
		if l.sent.Has(v.signal) {
			line = LineSignaled
		}
	}
	l.say(line, v)
}

// explain has a helper write the line that says why the program ended. It reports whether
// there was one. There is none if the file system does not answer in time, or if there can
// be no helper. The exit status does not depend on it.
func (l *life) explain(elapsed time.Duration) bool {
	o := l.orders
	o.Elapsed, o.Forwarded = elapsed, l.sent
	l.flush() // the answer needs the whole page
	l.startLate(Explain, reasonTime)
	l.awaitLate()
	for i := uint32(0); i < o.Reply.size; i++ {
		l.page.byte(o.Reply.text[i&4095])
	}
	if o.Reply.size > 0 {
		l.flush()
	}
	return o.Reply.size > 0
}

// notExecuted logs why the program could not be executed, and returns the exit status.
func (l *life) notExecuted() int {
	o := l.orders
	if o.Tini {
		l.tellExec()
	} else if !l.explain(0) {
		l.say(LineNotExecuted, &values{errno: Errno(o.Outcome.ExecErrno)})
	}
	switch Errno(o.Outcome.ExecErrno) {
	case unix.ENOENT:
		return ExitNotFound
	case unix.EACCES:
		return ExitNotExecutable
	}
	return ExitFailure
}

// expect returns status, or 0 if the user expects this status.
func (l *life) expect(status int) int {
	if l.orders.ExpectExit[status&255] {
		return 0
	}
	return status
}

// tellExec logs once that the program could not be executed. tini's child logs that, and
// first says that standard input is no terminal.
func (l *life) tellExec() {
	if l.toldExec {
		return
	}
	l.toldExec = true
	o := l.orders
	v := values{pid: l.child, errno: Errno(o.Outcome.ExecErrno)}
	if l.child != 0 && l.terminal.noTTY {
		l.say(LineNoTTY, &v)
	}
	if l.child == 0 { // with -x
		v.pid = o.PID
	}
	if o.lines[LineNotExecuted].size > 0 {
		l.say(LineNotExecuted, &v)
		return
	}
	o.Outcome.PID = v.pid
	l.explain(0) // there was no helper to render the line
}

// tellChild logs that SIGCHLD has come. If the program could not be executed, tini's child
// has said so before it ended.
func (l *life) tellChild() {
	if l.orders.Tini && l.orders.Outcome.ExecErrno != 0 {
		l.tellExec()
	}
	l.say(LineChild, &values{})
}

// tellLeft logs whether children are left, once those that have ended are reaped. If the
// program has ended, the line comes after the line about that, from tellEnd.
func (l *life) tellLeft() {
	if !l.ended && !l.due {
		l.sayLeft()
	}
}

// tellEnd logs that this process exits, because the program has ended.
func (l *life) tellEnd() {
	l.sayLeft()
	l.say(LineLeave, &values{})
}

func (l *life) sayLeft() {
	if l.orphans {
		l.say(LineLeft, &values{})
		return
	}
	l.say(LineNone, &values{})
}
