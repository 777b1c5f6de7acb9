package pid1

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// ForwardAll makes the program get each signal that can be forwarded.
func (o *Orders) ForwardAll() {
	for sig := Signal(1); sig < NumSignals; sig++ {
		if Forwardable(sig) {
			o.Rewrite[sig&127] = uint8(sig)
		}
	}
}

// forward sends the program the signal that this process got, or the signal that --rewrite
// replaces it with. It writes the log line afterwards.
func (l *life) forward(received Signal) {
	o := l.orders
	sig := Signal(o.Rewrite[received&127])
	v := values{signal: sig, received: received, fromPID: int(l.info.pid), fromUID: int(l.info.uid), pid: l.child}
	if sig == 0 {
		l.say(LineDrop, &v)
		return
	}
	if sig == unix.SIGCONT && l.resume() {
		return
	}
	l.sent |= bit(sig)
	errno := l.send(&v)
	if o.StopSignals.Has(sig) || o.StopSignals.Has(received) {
		l.startStopping()
	}
	l.say(LineForward, &v)
	v.errno = errno
	switch errno {
	case 0:
	case unix.ESRCH:
		l.say(LineFailed, &v)
	default:
		l.say(LineUnsent, &v)
	}
}

// send sends a signal to the program, and with -g to its group. A failure is no reason to
// end the container. The program may have become another user (EPERM, kill(2)). A program
// that has left its group gets the signal too.
func (l *life) send(v *values) syscall.Errno {
	if l.orders.KillGroup {
		errno := kill(-l.child, v.signal)
		if errno != unix.ESRCH && l.inGroup() {
			v.pid = -l.child
			return errno
		}
	}
	if v.signal == v.received && l.info.code < 0 && l.info.code != siTkill {
		_, errno := call(unix.SYS_RT_SIGQUEUEINFO, uintptr(l.child), uintptr(v.signal), address(&l.info), 0)
		return errno // the value of sigqueue(3) goes with it
	}
	return kill(v.pid, v.signal)
}

// inGroup reports whether the program is in the process group that this process has made.
func (l *life) inGroup() bool {
	group, errno := call(unix.SYS_GETPGID, uintptr(l.child), 0, 0, 0)
	return errno == 0 && int(group) == l.child
}

// pending returns the signals that wait for this process.
func (l *life) pending() Set {
	if l.host != nil {
		return l.host.Pending()
	}
	return pending()
}

// stopPending reports whether a stop signal is pending.
func (l *life) stopPending() bool { return l.pending()&l.orders.StopSignals != 0 }

func (l *life) startStopping() {
	if l.orders.StopTimeout > 0 && !l.stopping.running {
		l.spend() // the time before the signal is no part of the program's time to stop
		l.stopping = countdownOf(l.orders.StopTimeout)
	}
}

// killProgram kills the program, which did not stop in time. The kernel may refuse to kill a
// program of another user (EPERM, kill(2)). Then PID 1 exits, and the kernel kills every
// process of the PID namespace (pid_namespaces(7)).
func (l *life) killProgram() {
	l.stopping = countdown{}
	if l.orders.KillGroup {
		kill(-l.child, unix.SIGKILL)
	}
	errno := kill(l.child, unix.SIGKILL) // the program may have left its group
	v := values{pid: l.child, errno: errno}
	switch {
	case errno == 0 || errno == unix.ESRCH:
		l.say(LineLate, &v)
	case l.pid1:
		l.say(LineAbandoned, &v)
		l.exit, l.ended, l.abandoned = reaper.Exit{PID: l.child, Status: uint32(unix.SIGKILL)}, true, true
	default:
		l.say(LineRefused, &v)
	}
}
