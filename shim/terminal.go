package shim

import (
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/process"
)

// terminal is the controlling terminal, if there is one. The program gets a process
// group of its own. If this process is in the foreground of the terminal, the program's
// group has to become the foreground group. Otherwise the program's first read would
// stop the program (SIGTTIN, termios(3)).
//
// A job of an interactive shell needs more. The shell waits for this process and does
// not know the program's group. So if the program stops, this process takes the
// terminal back and stops too. When the shell continues this process, it gives the
// terminal to the program and continues the program.
type terminal struct {
	fd         int  // or -1
	noTTY      bool // standard input is open and no terminal
	opened     bool // fd is /dev/tty and not standard input
	own        int  // process group of this process
	foreground bool // own was the foreground group at the start
	job        bool // this process is a job of a shell, if it is neither PID 1 nor a session leader
	stopped    bool // stopWith has stopped this process
}

func openTerminal() *terminal {
	t := &terminal{fd: 0, own: unix.Getpgrp()}
	group, errno := process.ForegroundGroup(t.fd)
	if errno != 0 { // standard input is closed or no terminal
		none := &terminal{fd: -1, noTTY: errno == unix.ENOTTY}
		var err error
		if t.fd, err = unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
			return none
		}
		t.opened, t.noTTY = true, none.noTTY
		if group, errno = process.ForegroundGroup(t.fd); errno != 0 {
			unix.Close(t.fd)
			return none
		}
	}
	pid := unix.Getpid()
	session, _ := unix.Getsid(0)
	t.foreground = group == t.own
	t.job = pid != 1 && session != pid
	return t
}

// descriptor returns the terminal whose foreground the program gets, or -1. The program
// gets only a terminal on standard input. Another process may read from /dev/tty, for
// instance a script that has started this process in the background.
func (t *terminal) descriptor() int {
	if !t.foreground || t.opened {
		return -1
	}
	return t.fd
}

func (t *terminal) jobControl() bool { return t.job }

// stopWith stops this process after the program's group has stopped. It returns when
// the shell has continued this process.
func (t *terminal) stopWith(child int, sig process.Signal) {
	group, errno := process.ForegroundGroup(t.fd)
	if errno != 0 {
		return
	}
	if group == t.own && (sig == unix.SIGTTIN || sig == unix.SIGTTOU) {
		// The shell has started this job in the background and then put it in the
		// foreground. The shell sends no SIGCONT to a running job.
		process.SetForegroundGroup(t.fd, child)
		process.Kill(-child, unix.SIGCONT)
		return
	}
	if group == child {
		process.SetForegroundGroup(t.fd, t.own)
	}
	t.stopped = true
	process.Kill(0, unix.SIGSTOP) // stops the whole job, as the terminal does
}

// resume continues the program's group after stopWith. If the shell has put this
// process in the foreground, resume puts the program's group there. It reports whether
// it continued the group.
func (t *terminal) resume(child int) bool {
	if !t.stopped {
		return false
	}
	t.stopped = false
	if group, errno := process.ForegroundGroup(t.fd); errno == 0 && group == t.own && !t.opened {
		process.SetForegroundGroup(t.fd, child)
	}
	process.Kill(-child, unix.SIGCONT)
	return true
}

// reclaim takes the terminal back after the program has ended, because a script in this
// process's group may go on to read from the terminal.
func (t *terminal) reclaim(child int) {
	if !t.job {
		return
	}
	if group, errno := process.ForegroundGroup(t.fd); errno == 0 && group == child {
		process.SetForegroundGroup(t.fd, t.own)
	}
}
