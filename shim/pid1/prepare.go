package pid1

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/internal/sys"
	"github.com/cgshim/cgshim/reaper"
)

// prepare has a helper read the command line and do the set-up. It returns when the orders
// are complete. If the helper ends without that, it has printed a text or an error, and this
// process exits with its status.
func (l *life) prepare() {
	o := l.orders
	for {
		pid := l.startHelper(Prepare)
		if pid == 0 {
			l.cannotStart("cgshim: cannot start a helper: raise the limit of processes (--pids-limit, pids.max, RLIMIT_NPROC) or of memory\n")
		}
		e := l.serve(pid)
		switch {
		case o.ready == 1:
			return
		case e.Signaled():
			l.helperKilled(e)
		case o.begun == 0 && e.Code() == 2:
			l.runtimeFailed()
		default:
			exit(e.Code())
		}
	}
}

// mostFailures is how often the runtime may fail to start. It needs three threads or four,
// as chance will have it.
const mostFailures = 4

// runtimeFailed ends this process with what to change. It returns if the runtime may start
// the next time.
func (l *life) runtimeFailed() {
	const wake = 1 // FUTEX_WAKE
	if _, errno := call(unix.SYS_FUTEX, address(&l.orders.Flag), wake, 1, 0); errno != 0 {
		l.cannotStart("cgshim: cannot start: a sandbox refuses the system call futex, which Go's runtime needs in a helper: allow futex in the seccomp profile\n")
	}
	if l.failures++; l.failures == mostFailures {
		l.cannotStart("cgshim: cannot start: Go's runtime has no room in a helper: raise the limit of processes (--pids-limit, pids.max, RLIMIT_NPROC) to 8 or more, or the limit of memory\n")
	}
}

// helperKilled says so. It exits where the program must not start without the set-up, and
// where it is unknown whether it may. Otherwise the next helper undoes what was half done.
func (l *life) helperKilled(e reaper.Exit) {
	o := l.orders
	if o.Killed++; o.Killed == 1 {
		l.page.word("cgshim: the helper that prepares the start was killed by signal ")
		l.page.number(int(e.Signal()))
		if e.Signal() == unix.SIGSYS {
			l.page.word(" (SIGSYS): the seccomp profile refuses a system call that Go's runtime makes")
		}
		l.page.byte('\n')
		l.flush()
	}
	switch {
	case o.Require == 1:
		exit(125)
	case o.Read == 0 || o.Killed > 1:
		exit(1)
	}
}

// hurryTime is how long a helper may work after a stop signal.
const hurryTime = time.Second

// serve makes the system calls that a helper asks for, until the helper ends or becomes the
// program. Signals stay pending for the program. A stop signal is taken, to tell the helper,
// and is queued again afterwards.
func (l *life) serve(pid int) (e reaper.Exit) {
	var taken [3]siginfo
	var left countdown
	wanted := bit(unix.SIGCHLD) | DefaultStopSignals
	last := Signal(0)
	for {
		e, errno := reaper.Look(pid)
		switch {
		case errno != 0:
			return reaper.Exit{PID: pid, Status: uint32(unix.SIGKILL)}
		case e.PID == pid && !e.Stopped():
			if l.becomes(pid) { // the program has ended already
				l.exit, l.ended = e, true
			}
			l.requeue(&taken)
			return e
		case l.becomes(pid) || l.goesOn(pid):
			l.requeue(&taken)
			return e
		case e.PID == pid:
			l.answer()
			kill(pid, unix.SIGCONT)
		default: // a helper may be unable to stop itself
			l.answer()
		}
		if left.over() {
			kill(pid, unix.SIGKILL)
			l.flush()
			exit(128 + int(last))
		}
		limit := min(left.limit(), l.glance())
		if e.PID == pid { // it may be stopped again already, and without an end
			limit = 0
		}
		sig, _ := awaitSignal(wanted, &l.info, limit)
		left.spend(l.clock.lap())
		if sig > 0 && sig < NumSignals && DefaultStopSignals.Has(sig) {
			last, wanted = sig, wanted&^bit(sig)
			taken[slotOf(sig)] = l.info
			l.orders.hurry = 1
			if !left.running {
				left = countdownOf(hurryTime)
			}
		}
	}
}

// slotOf returns a number for each of the default stop signals.
func slotOf(sig Signal) int {
	switch sig {
	case unix.SIGTERM:
		return 0
	case unix.SIGINT:
		return 1
	}
	return 2
}

// requeue queues the signals again. A process may give itself any siginfo
// (rt_sigqueueinfo(2)).
func (l *life) requeue(taken *[3]siginfo) {
	for i := range taken {
		if info := &taken[i]; info.signo != 0 {
			call(unix.SYS_RT_SIGQUEUEINFO, uintptr(l.orders.PID), uintptr(info.signo), address(info), 0)
		}
	}
}

// answer makes the system call that a helper asks for. Another process may have stopped the
// helper, which has asked for nothing then.
func (l *life) answer() {
	o := l.orders
	if o.asked == o.answered {
		return
	}
	if o.number == unix.SYS_UNSHARE || o.number == unix.SYS_SETNS {
		l.keepNamespace()
	}
	a := &o.arguments
	o.result = sys.Call(o.number, a[0], a[1], a[2], a[3], a[4], a[5])
	o.answered = o.asked
}

// glance is how long to wait before looking at the orders. A helper that is the first
// process of a PID namespace cannot stop itself (pid_namespaces(7)). It takes a new helper
// less than a millisecond to find out whether it is. A sandbox may also keep a helper from
// stopping itself.
func (l *life) glance() time.Duration {
	if l.orders.placed == 0 || l.orders.Inside {
		return time.Millisecond
	}
	return tick
}

// early reports whether PID 1 need not wait for the end of the helper. A program that PID 1
// becomes must not have it as a child, and tini would not log that it has ended.
func (o *Orders) early() bool { return !o.Exec && !o.Pause && !o.Tini }

// goesOn reports whether the orders are complete and the helper can be reaped later.
func (l *life) goesOn(pid int) bool {
	o := l.orders
	if o.ready == 0 || !o.early() {
		return false
	}
	l.dismissed = pid
	return true
}

// becomes reports whether the helper has become the program.
func (l *life) becomes(pid int) bool {
	if !l.orders.Inside || l.orders.ready == 0 {
		return false
	}
	l.child = pid
	return true
}

// keepNamespace keeps the cgroup namespace from before the set-up. If the helper is killed,
// the next one returns this process to it.
func (l *life) keepNamespace() {
	if l.oldNS >= 0 {
		return
	}
	if fd, errno := openat(address(&names.ownNamespace), unix.O_RDONLY|unix.O_CLOEXEC); errno == 0 {
		l.oldNS, l.orders.OldNamespace = fd, fd
	}
}
