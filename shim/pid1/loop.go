package pid1

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// live is the life of PID 1 from the orders to the exit.
func (l *life) live() {
	if l.orders.Exec {
		l.replace()
	}
	l.loadPages()
	l.openTerminal()
	l.started = now()
	if l.child == 0 {
		l.start()
	} else { // a helper has become the program
		chdirRoot()
	}
	l.say(LineSpawned, &values{pid: l.child})
	l.release()
	// The point of no return. From here on only the end of the program may end this
	// process, because the end of PID 1 ends the container.
	l.closeInherited()
	l.settling = countdownOf(settled)
	l.supervise()
	l.reclaimTerminal()
	status := l.report()
	l.drain()
	l.flush()
	exit(status)
}

// supervise forwards signals and reaps children until the program has ended. It reaps
// first, because children may have ended before this process could get a SIGCHLD. It checks
// the time limits before each signal and before each pass of reapAll, because a stream of
// signals may never end, and neither may a stream of orphans.
func (l *life) supervise() {
	if !l.pending().Has(unix.SIGCHLD) {
		l.early = true
		l.reapAll()
		l.early = false
	}
	for !l.ended {
		l.spend()
		switch {
		case l.stopping.over():
			l.killProgram()
		case l.settling.over():
			l.settle()
		case l.copying.over():
			l.resize()
		case l.helper.left.over():
			l.endHelper()
		default:
			if sig, ok := l.next(l.wait()); ok {
				l.handle(sig)
			}
			if l.due {
				l.reapAll()
				l.tellLeft()
			}
		}
	}
}

// spend takes the time that has passed off the countdowns that run. Without one it does not
// ask for the time.
func (l *life) spend() {
	if !l.counts() {
		l.clock.stop()
		return
	}
	lap := l.clock.lap()
	l.stopping.spend(lap)
	l.settling.spend(lap)
	l.copying.spend(lap)
	l.helper.left.spend(lap)
}

func (l *life) counts() bool {
	return l.stopping.running || l.settling.running || l.copying.running || l.helper.left.running
}

// wait returns how long to wait for a signal.
func (l *life) wait() (limit time.Duration) {
	if l.due {
		return 0
	}
	return min(l.stopping.limit(), l.settling.limit(), l.copying.limit(), l.helper.left.limit())
}

// handle handles a signal.
func (l *life) handle(sig Signal) {
	switch {
	case sig == unix.SIGCHLD:
		l.tellChild()
		l.due = true
	case sig == written: // a child that was killed has ended
		l.writing()
	case l.changesLimits(sig):
		l.resize()
	case Forwardable(sig) || terminalUse.Has(sig):
		l.forward(sig)
	}
	if l.orders.Tini && sig != unix.SIGCHLD { // tini reaps after every signal
		l.due = true
	}
}

// A pass is one call of reapAll. It has an end, even if children end faster than they are
// reaped, because the caller has to look at its deadlines and at the signals that wait.
const mostReaped = 1000

// reapAll reaps the children that have ended. If it stops before the last one, l.due stays
// set.
func (l *life) reapAll() {
	for l.reaped = 0; l.reaped < mostReaped; l.reaped++ {
		e, left := reaper.Next(l.orders.Job)
		if e.PID <= 0 {
			l.orphans, l.due = left, false
			return
		}
		l.collected(e)
	}
	l.orphans, l.due = true, true
}

// collected handles a child that has ended or stopped.
func (l *life) collected(e reaper.Exit) {
	v := values{pid: e.PID, status: e.Code()}
	switch {
	case e.Stopped():
		l.stopped(e)
	case e.PID == l.child && !l.ended:
		l.exit, l.ended = e, true
		if l.early { // the SIGCHLD of the program has come meanwhile
			l.tellChild()
		}
		l.say(LineMain, &v)
	case e.PID == l.helper.pid:
		l.helperEnded(e)
	case e.PID == l.dismissed:
		l.dismissed = 0
	default:
		l.say(LineReaped, &v)
		l.say(LineZombie, &v)
	}
}

// stopped handles a child that has stopped. Either the child has made this process its
// tracer, or the child is the program in a job of an interactive shell.
func (l *life) stopped(e reaper.Exit) {
	sig := e.StopSignal()
	traced, errno := detach(e.PID, sig)
	switch {
	case traced && errno != 0:
		l.say(LineDetach, &values{pid: e.PID, errno: errno})
	case !traced && e.PID == l.child:
		l.stopWith(sig)
	}
}
