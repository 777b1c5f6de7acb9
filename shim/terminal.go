package shim

import (
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/process"
)

// terminal is the controlling terminal, and whether this process was in its
// foreground when it started. The program gets a process group of its own, which
// then has to become the foreground group, or its first read would stop it
// (SIGTTIN, termios(3)).
//
// As a job of an interactive shell there is more to do: the shell waits for this
// process and knows nothing of the program's group. So when the program stops, this
// process takes the terminal back and stops with it, and hands both on when the
// shell continues it.
type terminal struct {
	fd         int // -1: none
	opened     bool
	own        int // our process group
	foreground bool
	job        bool // a shell's job: neither PID 1 nor a session leader
	stopped    bool
}

func openTerminal() *terminal {
	t := &terminal{fd: 0, own: unix.Getpgrp()}
	group, errno := process.ForegroundGroup(t.fd)
	if errno != 0 { // no terminal on stdin, or a closed one: never fatal
		var err error
		if t.fd, err = unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
			return &terminal{fd: -1}
		}
		t.opened = true
		if group, errno = process.ForegroundGroup(t.fd); errno != 0 {
			unix.Close(t.fd)
			return &terminal{fd: -1}
		}
	}
	pid := unix.Getpid()
	session, _ := unix.Getsid(0)
	t.foreground = group == t.own
	t.job = pid != 1 && session != pid
	return t
}

// descriptor is the terminal to hand to the program, or -1. Hand over only a terminal on
// standard input; /dev/tty alone may have another reader, such as a script that has
// started this process in the background.
func (t *terminal) descriptor() int {
	if !t.foreground || t.opened {
		return -1
	}
	return t.fd
}

func (t *terminal) jobControl() bool { return t.job }

// stopWith follows the program's group into a stop. It returns when the shell has
// continued this process.
func (t *terminal) stopWith(child int, sig process.Signal) {
	group, errno := process.ForegroundGroup(t.fd)
	if errno != 0 {
		return
	}
	if group == t.own && (sig == unix.SIGTTIN || sig == unix.SIGTTOU) {
		// Started in the background and put in the foreground by the shell, which
		// sends no SIGCONT to a running job.
		process.SetForegroundGroup(t.fd, child)
		process.Kill(-child, unix.SIGCONT)
		return
	}
	if group == child {
		process.SetForegroundGroup(t.fd, t.own)
	}
	t.stopped = true
	process.Kill(0, unix.SIGSTOP) // the whole job, as the terminal would have
}

// resume continues the program's group after stopWith, in the foreground if the
// shell put us there. It reports whether it did.
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

// reclaim takes the terminal back from the program's group, which has ended, for a
// script in our group that goes on to read from it.
func (t *terminal) reclaim(child int) {
	if !t.job {
		return
	}
	if group, errno := process.ForegroundGroup(t.fd); errno == 0 && group == child {
		process.SetForegroundGroup(t.fd, t.own)
	}
}
