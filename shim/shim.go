// Package shim is the life of the init: adopt the orphans, delegate the cgroup,
// start the program, forward signals and reap until it ends, drain, exit.
package shim

import (
	"errors"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/reaper"
	"github.com/cgshim/cgshim/shim/process"
)

// shim is the state of one run.
type shim struct {
	Config
	system
	log     Log
	lines   lines
	signals source

	pid1      bool
	delegated bool // /sys/fs/cgroup is the container's cgroup, and this process in a leaf of it
	cgroup    container
	follower  *cgroup.Follower // of the container's limits, nil: none
	oomKills  uint64           // before the program started

	child    int
	program  outcome
	started  time.Duration
	dir      string // the working directory before, for messages about a relative path
	tty      *terminal
	rewrite  [process.NumSignals]process.Signal // what to send for each signal, 0: nothing
	sent     process.Set                        // signals forwarded
	stopping countdown                          // until the program is killed
	settling countdown                          // until the pages of the file are not needed
	clock    stopwatch
	collect  func(reaper.Exit) // is (*shim).collected
	exit     reaper.Exit
	ended    bool
	orphans  bool // some child is left
}

// source is where signals come from: *process.Signals.
type source interface {
	Next(limit time.Duration) (e process.Event, ok bool)
	Pending() process.Set
	Watch(fd int) error // an event with the signal process.Changed comes of it
}

// outcome is how the execve of the program ended: of a *process.Program.
type outcome interface {
	Failed() syscall.Errno
	ViaShell() bool
}

// container is the container's cgroup: a *cgroup.Handle.
type container interface {
	OOMKills() (kills uint64, ok bool)
	KillOthers() unix.Errno
}

// system is what this process asks the kernel for. Tests have another.
type system struct {
	start  func(*process.Program) (pid int, errno syscall.Errno)
	kill   func(pid int, sig process.Signal) syscall.Errno
	reap   func(stops bool, fn func(reaper.Exit)) (left bool)
	detach func(pid int, sig process.Signal) (traced bool, errno syscall.Errno)
	now    func() time.Duration
	pin    func()

	setUp     func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error)
	container func(delegated bool) container
	mount     func(source, target, fstype string, flags uintptr, data string) error
}

var kernel = system{
	start: (*process.Program).Spawn, kill: process.Kill, reap: reaper.Reap,
	detach: process.Detach, now: process.Now, pin: process.Pin,
	setUp: cgroup.Delegate, mount: unix.Mount,
	container: func(delegated bool) container { return cgroup.NewHandle(delegated) },
}

func newShim(config Config, signals source, log Log) *shim {
	s := &shim{Config: config, system: kernel, log: log, signals: signals, pid1: os.Getpid() == 1, tty: &terminal{fd: -1}}
	s.collect = s.collected
	for sig := range s.rewrite {
		if sig := process.Signal(sig); sig > 0 && process.Forwardable(sig) {
			s.rewrite[sig] = sig
		}
	}
	for from, to := range config.Rewrite {
		s.rewrite[from] = to
	}
	return s
}

// Run does all of it and returns the exit status.
func Run(config Config, signals *process.Signals, log Log) int {
	s := newShim(config, signals, log)
	if err := s.adopt(); err != nil {
		s.log.Log(LevelError, "cannot be an init", "err", err)
		return ExitFailure
	}
	s.setOOMScoreAdj()
	if s.Pause {
		return pause(signals)
	}
	if status := s.delegate(); status != 0 {
		return status
	}
	s.prepareDind()
	program, err := s.prepare(signals)
	switch {
	case err != nil:
		return s.expect(s.cannotExecute(err))
	case s.Exec:
		return s.expect(s.cannotExecute(program.Exec()))
	}
	s.tty = openTerminal()
	s.prepareLines()
	process.Alone()
	if errno := s.spawn(program); errno != 0 {
		s.log.Log(LevelError, "cannot start a process", "err", errno, "hint", startHint(errno))
		return ExitFailure
	}
	// The point of no return: from here on nothing but the program's end ends this
	// process, for that would end the container. Nothing is allocated any more, and no
	// system call is made that the runtime takes part in (docs/adr/0007-alone.md).
	process.CloseInherited(s.tty.fd, s.follower.FD())
	s.settling = countdownOf(settled)
	s.supervise()
	s.tty.reclaim(s.child)
	status := s.report()
	s.drain()
	return status
}

// adopt makes this process the parent that the kernel gives orphans to.
func (s *shim) adopt() error {
	if s.ParentDeath != 0 {
		parent := unix.Getppid()
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(s.ParentDeath), 0, 0, 0); err != nil {
			return &os.SyscallError{Syscall: "prctl PR_SET_PDEATHSIG " + process.SignalName(s.ParentDeath), Err: err}
		}
		if unix.Getppid() != parent { // it died before the kernel was told
			_ = unix.Kill(os.Getpid(), s.ParentDeath)
		}
	}
	if s.Subreaper || (!s.pid1 && !s.Tini && !s.Exec) {
		err := os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		switch {
		case err == nil && s.Tini:
			s.log.Log(LevelTrace, "Registered as child subreaper")
		case err == nil:
			s.log.Log(LevelTrace, "registered as child subreaper")
		case s.Subreaper: // the user counts on it
			return err
		default:
			s.log.Log(LevelWarn, "orphans will not be reaped", "err", err)
		}
		return nil
	}
	if s.Tini && !s.pid1 && !isSubreaper() {
		// tini's warning, which its users look for.
		s.log.Log(LevelWarn, "Tini is not running as PID 1 and isn't registered as a child subreaper.\n"+
			"Zombie processes will not be re-parented to Tini, so zombie reaping won't work.\n"+
			"To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child subreaper, or run Tini as PID 1.")
	}
	return nil
}

func isSubreaper() bool {
	var flag int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&flag)), 0, 0, 0)
	return err == nil && flag == 1
}

// prepare makes everything ready that starting the program takes.
func (s *shim) prepare(signals *process.Signals) (*process.Program, error) {
	s.dir, _ = unix.Getwd()
	s.cgroup = s.container(s.delegated)
	s.oomKills, _ = s.cgroup.OOMKills()
	env := s.Env
	if s.Dind {
		if _, set := process.LookupEnv(env, "container"); !set {
			env = append(env[:len(env):len(env)], "container=docker")
		}
	}
	p, err := process.NewProgram(s.Args, env, signals)
	if err == nil && !s.Exec {
		p.NameChild(env)
	}
	return p, err
}

// spawn starts the program. It does not wait for the execve, which may take for ever:
// report tells how that ended.
func (s *shim) spawn(p *process.Program) (errno syscall.Errno) {
	p.Group = true
	p.Terminal = s.tty.descriptor()
	s.program = p
	s.started = s.now()
	s.child, errno = s.start(p)
	if errno == 0 {
		s.lines.spawned.say(&values{pid: s.child})
	}
	return errno
}

// supervise forwards and reaps until the program has ended. Children may have ended
// before there was anything to get a SIGCHLD, so it reaps first. It looks whether the time
// is up before it looks at what has come, for a stream of signals does not end.
func (s *shim) supervise() {
	s.clock = stopwatch{now: s.now, last: s.now()}
	if !s.signals.Pending().Has(unix.SIGCHLD) {
		if s.reapAll(); s.ended { // its SIGCHLD has come meanwhile
			s.lines.chld.say(nil)
		}
	}
	for !s.ended {
		lap := s.clock.lap()
		s.stopping.spend(lap)
		s.settling.spend(lap)
		switch {
		case s.stopping.over():
			s.kill1()
		case s.settling.over():
			s.settling = countdown{}
			s.pin()
		default:
			if e, ok := s.signals.Next(min(s.stopping.limit(), s.settling.limit())); ok {
				s.handle(e)
			}
		}
	}
}

// settled is how long the program has to run before this process copies its code and its
// constants, which were read from the file a moment ago. A program that ends sooner does
// not have to wait for that.
const settled = 50 * time.Millisecond

// handle is told of each signal. A limit of the container that has changed is one too.
func (s *shim) handle(e process.Event) {
	switch e.Signal {
	case unix.SIGCHLD:
		s.lines.chld.say(nil)
		s.reapAll()
	case process.Changed:
		s.follower.Update()
	default:
		s.forward(e)
	}
}

// reapAll collects what has ended.
func (s *shim) reapAll() { s.orphans = s.reap(s.tty.jobControl(), s.collect) }

// collected is told of each child that has ended or stopped.
func (s *shim) collected(e reaper.Exit) {
	v := values{pid: e.PID, status: e.Code()}
	switch {
	case e.Status.Stopped():
		s.stopped(e)
	case e.PID == s.child && !s.ended:
		s.exit, s.ended = e, true
		s.lines.main.say(&v)
	default:
		s.lines.reaped.say(&v)
	}
}

// stopped is told of each child that has stopped: one that has made this process its
// tracer, or the program in an interactive shell's job.
func (s *shim) stopped(e reaper.Exit) {
	sig := e.Status.StopSignal()
	traced, errno := s.detach(e.PID, sig)
	switch {
	case traced && errno != 0:
		s.lines.detach.say(&values{pid: e.PID, errno: errno})
	case !traced && e.PID == s.child:
		s.tty.stopWith(s.child, sig)
	}
}

// expect is status unless the user said that status is fine.
func (s *shim) expect(status int) int {
	if s.ExpectExit[status] {
		return 0
	}
	return status
}

// pause reaps until a signal asks for an end. There is no program, and Go's runtime stays.
func pause(signals *process.Signals) int {
	signals.Without(unix.SIGCHLD)
	reaper.Pause()
	process.Chdir("/")
	process.CloseInherited()
	for {
		e, _ := signals.Next(process.Forever)
		if e.Signal == unix.SIGTERM || e.Signal == unix.SIGINT {
			return 0
		}
	}
}

// cannotExecute says why the program could not be executed.
func (s *shim) cannotExecute(err error) int {
	reason := diagnose(s.Args[0], s.Env, err)
	level := LevelError
	if s.Tini {
		s.log.Log(LevelError, "exec "+s.Args[0]+" failed: "+strerror(err))
		level = LevelInfo
	}
	s.log.Log(level, "cannot execute", "program", s.Args[0], "err", err, "reason", reason)
	switch {
	case errors.Is(err, unix.ENOENT):
		return ExitNotFound
	case errors.Is(err, unix.EACCES):
		return ExitNotExecutable
	}
	return ExitFailure
}
