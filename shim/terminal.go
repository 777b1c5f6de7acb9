package shim

import "golang.org/x/sys/unix"

// terminal is the controlling terminal, and whether this process was in its
// foreground when it started. The child gets a process group of its own, which
// then has to become the foreground one, or its first read would stop it
// (SIGTTIN, termios(3)).
//
// As a job of an interactive shell there is more to do: the shell waits for this
// process and knows nothing of the child's group. So when the child stops, this
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
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil { // no terminal on stdin, or a closed one: never fatal
		if t.fd, err = unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
			return &terminal{fd: -1}
		}
		t.opened = true
		if group, err = unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err != nil {
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

// descriptor is the terminal to hand to the child, or -1. It is only handed over by
// standard input: one that is reached as /dev/tty alone belongs to somebody who reads
// from it, such as a script that has started this in the background.
func (t *terminal) descriptor() int {
	if !t.foreground || t.opened {
		return -1
	}
	return t.fd
}

func (t *terminal) jobControl() bool { return t.job }

// stopWith follows the child's group into a stop. It returns when the shell has
// continued this process.
func (t *terminal) stopWith(child int, sig Signal) {
	group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP)
	if err != nil {
		return
	}
	if group == t.own && (sig == unix.SIGTTIN || sig == unix.SIGTTOU) {
		// Started in the background and put in the foreground by the shell, which
		// sends no SIGCONT to a running job.
		t.give(child)
		_ = unix.Kill(-child, unix.SIGCONT)
		return
	}
	if group == child {
		t.give(t.own)
	}
	t.stopped = true
	_ = unix.Kill(0, unix.SIGSTOP) // the whole job, as the terminal would have
}

// resume continues the child's group after stopWith, in the foreground if the
// shell put us there. It reports whether it did.
func (t *terminal) resume(child int) bool {
	if !t.stopped {
		return false
	}
	t.stopped = false
	if group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err == nil && group == t.own && !t.opened {
		t.give(child)
	}
	_ = unix.Kill(-child, unix.SIGCONT)
	return true
}

// reclaim takes the terminal back from the child's group, which has ended, for
// whoever shares our group: a script that goes on to read from it.
func (t *terminal) reclaim(child int) {
	if !t.job {
		return
	}
	if group, err := unix.IoctlGetInt(t.fd, unix.TIOCGPGRP); err == nil && group == child {
		t.give(t.own)
	}
}

// give makes group the foreground one. With SIGTTOU blocked that works from the
// background too (tcsetpgrp(3)).
func (t *terminal) give(group int) {
	var ttou, old unix.Sigset_t
	ttou.Val[0] = 1 << (unix.SIGTTOU - 1)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &ttou, &old)
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, group)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}
