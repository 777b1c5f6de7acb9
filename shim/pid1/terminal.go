package pid1

import "golang.org/x/sys/unix"

// terminal is the controlling terminal, if there is one. The program gets a process group of
// its own. If this process is in the foreground of the terminal, the program's group has to
// become the foreground group. Otherwise the program's first read would stop the program
// (SIGTTIN, termios(3)).
//
// A job of an interactive shell needs more. The shell waits for this process and does not
// know the program's group. So if the program stops, this process takes the terminal back
// and stops too. When the shell continues this process, it gives the terminal to the program
// and continues the program.
type terminal struct {
	fd         int  // or -1
	noTTY      bool // standard input is open and no terminal
	opened     bool // fd is /dev/tty and not standard input
	own        int  // process group of this process
	alone      bool // this process is PID 1 or leads its session, so no script reads the terminal
	foreground bool // own was the foreground group at the start
	stopped    bool // stopWith has stopped this process
}

func (l *life) openTerminal() {
	t := &l.terminal
	own, _ := call(unix.SYS_GETPGID, 0, 0, 0, 0)
	t.fd, t.own = 0, int(own)
	if t.alone = l.pid1; !t.alone {
		session, _ := call(unix.SYS_GETSID, 0, 0, 0, 0)
		t.alone = int(session) == l.orders.PID
	}
	group, errno := foregroundGroup(0)
	if errno != 0 { // standard input is closed or no terminal
		t.noTTY = errno == unix.ENOTTY
		if t.fd, errno = openat(address(&names.devTTY), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC); errno != 0 {
			t.fd = -1
			return
		}
		t.opened = true
		if group, errno = foregroundGroup(t.fd); errno != 0 {
			closeFile(t.fd)
			t.fd = -1
			return
		}
	}
	t.foreground = group == t.own
}

// descriptor returns the terminal whose foreground the program gets, or -1. If the terminal
// is not standard input, another process may read from it, for instance a script that has
// started this process in the background. Nobody else reads beside a PID 1 or the leader of
// a session.
func (t *terminal) descriptor() int {
	if t.fd < 0 || !t.foreground || t.opened && !t.alone {
		return -1
	}
	return t.fd
}

// stopWith stops this process after the program's group has stopped by a signal of the
// terminal. It returns when the shell has continued this process. Nobody would continue it
// after a SIGSTOP, which is meant for the program.
func (l *life) stopWith(sig Signal) {
	t := &l.terminal
	group, errno := foregroundGroup(t.fd)
	if errno != 0 || sig == unix.SIGSTOP {
		return
	}
	if group == t.own && (sig == unix.SIGTTIN || sig == unix.SIGTTOU) {
		// The shell has started this job in the background and then put it in the
		// foreground. The shell sends no SIGCONT to a running job.
		setForegroundGroup(t.fd, l.child)
		kill(-l.child, unix.SIGCONT)
		return
	}
	if group == l.child {
		setForegroundGroup(t.fd, t.own)
	}
	t.stopped = true
	l.flush()
	kill(0, unix.SIGSTOP) // stops the whole job, as the terminal does
}

// resume continues the program's group after stopWith. If the shell has put this process in
// the foreground, resume puts the program's group there. It reports whether it continued the
// group.
func (l *life) resume() bool {
	t := &l.terminal
	if !t.stopped {
		return false
	}
	t.stopped = false
	if group, errno := foregroundGroup(t.fd); errno == 0 && group == t.own && !t.opened {
		setForegroundGroup(t.fd, l.child)
	}
	kill(-l.child, unix.SIGCONT)
	return true
}

// reclaimTerminal takes the terminal back after the program has ended, because a script in
// this process's group may go on to read from the terminal.
func (l *life) reclaimTerminal() {
	t := &l.terminal
	if t.alone {
		return
	}
	if group, errno := foregroundGroup(t.fd); errno == 0 && group == l.child {
		setForegroundGroup(t.fd, t.own)
	}
}
