// Package shim is the life of the init: adopt the orphans, delegate the cgroup,
// start the child, forward signals and reap until it ends, drain, exit.
package shim

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/reaper"
)

// shim is the state of one run.
type shim struct {
	Config
	log     Log
	signals *Signals

	pid1      bool
	delegated bool // /sys/fs/cgroup is the container's cgroup, and this process in a leaf of it
	container *cgroup.Handle
	follower  *cgroup.Follower // of the container's limits, nil: none
	oomKills  uint64           // before the child started

	child   int
	started time.Time
	tty     *terminal
	exit    *reaper.Exit
	orphans bool             // some child is left
	killAt  time.Time        // when the child is killed; zero: never
	sent    [numSignals]bool // signals forwarded
}

// Run does all of it and returns the exit status.
func Run(config Config, signals *Signals, log Log) int {
	s := &shim{Config: config, log: log, signals: signals, pid1: os.Getpid() == 1}
	if err := s.adopt(); err != nil {
		s.log.Log(Error, "cannot be an init", "err", err)
		return ExitFailure
	}
	s.setOOMScoreAdj()
	if s.Pause {
		return s.pause()
	}
	if status := s.delegate(); status != 0 {
		return status
	}
	s.container = cgroup.NewHandle(s.delegated)
	s.oomKills, _ = s.container.OOMKills()
	s.prepareDind()
	if s.Exec {
		return s.become()
	}
	if status := s.start(); status != 0 {
		return s.expect(status)
	}
	// The point of no return: from here on nothing but the child's end ends this
	// process, for that would end the container.
	s.settle()
	s.supervise()
	s.tty.reclaim(s.child)
	status := s.report()
	s.drain()
	return status
}

// adopt makes this process the one that orphans are given to.
func (s *shim) adopt() error {
	if s.ParentDeath != 0 {
		parent := unix.Getppid()
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(s.ParentDeath), 0, 0, 0); err != nil {
			return &os.SyscallError{Syscall: "prctl PR_SET_PDEATHSIG " + SignalName(s.ParentDeath), Err: err}
		}
		if unix.Getppid() != parent { // it died before the kernel was told
			_ = unix.Kill(os.Getpid(), s.ParentDeath)
		}
	}
	if s.Subreaper || (!s.pid1 && !s.Tini && !s.Exec) {
		err := os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		switch {
		case err == nil:
			s.log.Log(Trace, "registered as child subreaper")
		case s.Subreaper: // somebody counts on it
			return err
		default:
			s.log.Log(Warn, "orphans will not be reaped", "err", err)
		}
		return nil
	}
	if s.Tini && !s.pid1 && !isSubreaper() {
		s.log.Log(Warn, "not running as PID 1 and not registered as a child subreaper: zombie reaping won't work;"+
			" use -s or set TINI_SUBREAPER to register as a child subreaper, or run as PID 1")
	}
	return nil
}

// start spawns the child. The status is that of a child that could not be: 127,
// 126 or 1.
func (s *shim) start() int {
	s.tty = openTerminal()
	p, err := s.program()
	if err == nil {
		p.group = true
		p.terminal = s.tty.descriptor()
		s.child, err = p.spawn()
	}
	s.started = time.Now()
	if err != nil {
		return s.cannotExecute(err)
	}
	if reason := p.misread(s.Args[0], s.Env); reason != "" {
		s.log.Log(Warn, "program is read by /bin/sh", "program", s.Args[0], "reason", reason)
	}
	s.log.Log(Info, "spawned child", "pid", s.child, "program", s.Args[0])
	return 0
}

// program is the child's, with LISTEN_PID and container set for it.
func (s *shim) program() (*program, error) {
	env := s.Env
	if s.Dind {
		if _, set := LookupEnv(env, "container"); !set {
			env = append(env[:len(env):len(env)], "container=docker")
		}
	}
	p, err := newProgram(s.Args, env, &s.signals.inherited)
	if err == nil && !s.Exec {
		p.rewriteListenPID(env)
	}
	return p, err
}

// become executes the program in place of this process.
func (s *shim) become() int {
	p, err := s.program()
	if err == nil {
		err = syscall.Errno(p.exec())
	}
	return s.expect(s.cannotExecute(err))
}

func (s *shim) cannotExecute(err error) int {
	if s.child != 0 {
		reaper.Await(s.child)
		s.tty.reclaim(s.child)
	}
	s.log.Log(Error, "cannot execute", "program", s.Args[0], "err", err, "reason", diagnose(s.Args[0], s.Env, err))
	switch {
	case errors.Is(err, unix.ENOENT):
		return ExitNotFound
	case errors.Is(err, unix.EACCES):
		return ExitNotExecutable
	}
	return ExitFailure
}

// settle lets go of what the init does not need and would pin: the working
// directory's mount and the descriptors it was started with (catatonit does both).
func (s *shim) settle() {
	_ = unix.Chdir("/")
	closeInherited()
}

// supervise forwards and reaps until the child has ended.
func (s *shim) supervise() {
	idleAt := time.Now().Add(settled)
	for s.exit == nil {
		e, ok := s.signals.next(earlier(s.killAt, idleAt))
		switch {
		case ok && e.signal == unix.SIGCHLD:
			s.reap()
		case ok:
			s.forward(e)
		case past(s.killAt):
			s.log.Log(Warn, "child did not stop in time, killing it", "pid", s.child, "timeout", s.StopTimeout)
			s.killAt = time.Time{}
			if s.KillGroup {
				_ = unix.Kill(-s.child, unix.SIGKILL)
			}
			_ = unix.Kill(s.child, unix.SIGKILL) // it may have left its group
		case past(idleAt):
			releaseText()
			idleAt = time.Time{}
		}
	}
}

// settled is how long the child has to run before memory is given back: one that
// ends sooner should not wait for that.
const settled = time.Second

// earlier is the earlier of two times; a zero one is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func past(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// reap collects what has ended.
func (s *shim) reap() {
	s.orphans = reaper.Reap(s.tty.jobControl(), func(e reaper.Exit) {
		switch {
		case e.Status.Stopped():
			if e.PID == s.child {
				s.tty.stopWith(s.child, e.Status.StopSignal())
			}
		case e.PID == s.child:
			s.exit = &e
		default:
			s.reaped(e)
		}
	})
}

func (s *shim) reaped(e reaper.Exit) {
	level := Debug
	if s.WarnOnReap {
		level = Warn
	}
	if s.Tini { // the text that tini's own tests look for
		s.log.Log(level, "Reaped zombie process with pid="+strconv.Itoa(e.PID))
		return
	}
	s.log.Log(level, "reaped orphan", "pid", e.PID, "status", e.Code())
}

// expect is status unless the user said that status is fine.
func (s *shim) expect(status int) int {
	if s.ExpectExit[status] {
		return 0
	}
	return status
}

// report says how the child ended and returns the exit status. One line at the
// default level says why where the end is abnormal.
func (s *shim) report() int {
	status := s.expect(s.exit.Code())
	facts := []any{"pid", s.child, "program", path.Base(s.Args[0]), "status", status, "elapsed", time.Since(s.started).Round(time.Millisecond)}
	msg, abnormal := "child exited", false
	if s.exit.Code() != 0 {
		if n, ok := s.container.OOMKills(); ok && n > s.oomKills {
			abnormal = true
			facts = append(facts, "oom_kills", n-s.oomKills)
		}
	}
	if s.exit.Status.Signaled() {
		sig := s.exit.Status.Signal()
		msg = "child ended by signal"
		abnormal = abnormal || !s.sent[sig]
		facts = append(facts, "signal", SignalName(sig), "core_dumped", s.exit.Status.CoreDump())
	}
	if abnormal && !s.Tini {
		s.log.Log(Warn, msg, facts...)
	} else {
		s.log.Log(Info, msg, facts...)
	}
	return status
}

func (s *shim) pause() int {
	s.signals.without(unix.SIGCHLD)
	reaper.Pause()
	s.settle()
	releaseText()
	for {
		e, _ := s.signals.next(time.Time{})
		if e.signal == unix.SIGTERM || e.signal == unix.SIGINT {
			return 0
		}
	}
}

func isSubreaper() bool {
	var flag int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&flag)), 0, 0, 0)
	return err == nil && flag == 1
}

// rewriteListenPID makes socket activation work through an init: sd_listen_fds(3)
// takes the descriptors only if LISTEN_PID is its own PID, which only the child
// knows.
func (p *program) rewriteListenPID(env []string) {
	for i, entry := range env {
		if value, found := strings.CutPrefix(entry, "LISTEN_PID="); found && value == strconv.Itoa(os.Getpid()) {
			buf := []byte("LISTEN_PID=0123456789\x00")
			p.envv[i] = &buf[0]
			p.listenPID = buf[len("LISTEN_PID="):]
			return // getenv(3) takes the first
		}
	}
}
