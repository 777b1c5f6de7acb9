package pid1

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// A helper is a fork of PID 1 that goes on into Go's runtime. It needs no exec and no file
// of the image that PID 1 does not have, so it works in an empty image and without /proc.

// helper is the late helper that works now, if there is one.
type helper struct {
	pid  int
	role Role
	left countdown // until it is killed
}

// startHelper makes a helper and returns its PID, or 0 where there can be none. The new
// process does not return from this function.
func (l *life) startHelper(role Role) (pid int) {
	l.flush() // the child must not have these lines too
	o := l.orders
	o.role, o.begun, o.placed, o.Reply.size, o.asked, o.answered = role, 0, 0, 0, 0, 0
	pid, errno := fork(unix.SIGCHLD)
	if errno != 0 {
		return 0
	}
	if pid == 0 {
		l.goOn()
	}
	return pid
}

// goOn is the way of a new helper from its fork to the runtime.
func (l *life) goOn() {
	o := l.orders
	l.otherNamespace()
	l.dieWithParent()
	// In a process group of its own the helper does not get the ^C of a terminal.
	call(unix.SYS_SETPGID, 0, 0, 0, 0)
	l.raiseLimits()
	openStandard(o)
	mute(o)
	launch(newVector(o.vector))
}

// goOnInPlace makes this process go on into the runtime, for --pause. A signal that asks for
// the end may have come already, and would end the runtime with another status.
func (l *life) goOnInPlace() {
	l.orders.role, l.orders.stderr = Pause, -1
	if l.pending()&(bit(unix.SIGTERM)|bit(unix.SIGINT)) != 0 {
		exit(0)
	}
	launch(newVector(l.orders.vector))
}

// newVector makes the initial stack of a process that goes on into the runtime. Arguments
// and auxiliary vector are those of this process. The environment is for the runtime alone,
// because a variable such as GOMEMLIMIT is meant for the program and may end a runtime that
// does not understand its value. A helper reads the real environment from the old vector.
func newVector(vector uintptr) uintptr {
	to := self.room
	from := vector
	for ; from < environment(vector); from += wordSize {
		*at[uintptr](to) = *at[uintptr](from)
		to += wordSize
	}
	for i := range settings {
		*at[uintptr](to) = uintptr(unsafe.Pointer(unsafe.StringData(settings[i])))
		to += wordSize
	}
	*at[uintptr](to) = 0
	to += wordSize
	for ; *at[uintptr](from) != 0; from += wordSize { // the environment
	}
	from += wordSize
	for n := 0; n < mostAuxiliary; n++ {
		kind := *at[uintptr](from)
		*at[uintptr](to), *at[uintptr](to + wordSize) = kind, *at[uintptr](from + wordSize)
		to, from = to+2*wordSize, from+2*wordSize
		if kind == 0 {
			break
		}
	}
	return self.room
}

// mostAuxiliary is more than the number of entries that the kernel makes (AT_VECTOR_SIZE in
// linux/auxvec.h), and as many as there is room for (entry_*.s).
const mostAuxiliary = 48

// settings is the environment of the runtime in a helper. One processor makes it create
// fewer threads, and a helper does not live long enough to collect garbage. The runtime
// would size GOMAXPROCS by cpu.max and keep that file open, which would pin the mount.
var settings = [...]string{
	"GOMAXPROCS=1\x00",
	"GOGC=off\x00",
	"GODEBUG=asyncpreemptoff=1\x00",
}

// startLate starts a helper while the program runs or after its end. In an ordinary Go
// program this process does the work itself.
func (l *life) startLate(role Role, limit time.Duration) {
	if l.host != nil {
		l.orders.role = role
		l.host.Help(role)
		return
	}
	l.helper = helper{pid: l.startHelper(role), role: role, left: countdownOf(limit)}
}

// helperEnded notes that a helper is gone. Of those that are not waited for there is only
// the one that copies the limits.
func (l *life) helperEnded(e reaper.Exit) {
	l.helper.pid, l.helper.left = 0, countdown{}
	l.resized(e)
}

// awaitLate waits for the helper, as long as its limit and until a stop signal comes.
func (l *life) awaitLate() {
	h := &l.helper
	for h.pid != 0 {
		if e, errno := reaper.Look(h.pid); e.PID == h.pid && !e.Stopped() || errno != 0 {
			h.pid, h.left = 0, countdown{}
			return
		}
		if h.left.over() || l.stopPending() {
			l.endHelper()
			return
		}
		var info siginfo
		awaitSignal(bit(unix.SIGCHLD), &info, h.left.limit())
		l.due = true // the signal may have been about another child
		l.spend()
	}
}

// endHelper kills the helper. A helper that waits for a file system may not end even by
// SIGKILL. It is reaped when it does.
func (l *life) endHelper() {
	kill(l.helper.pid, unix.SIGKILL)
	l.dismissed, l.helper.pid, l.helper.left = l.helper.pid, 0, countdown{}
	if l.helper.role == Resize {
		l.again()
	}
}
