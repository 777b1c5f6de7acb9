// Package shim is the life of the init. It adopts orphans, delegates the cgroup, starts
// the program, forwards signals and reaps until the program ends, drains, and exits.
package shim

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/reaper"
	"github.com/cgshim/cgshim/shim/process"
)

// shim is the state of one run of cgshim.
type shim struct {
	Config
	system
	log     Log
	lines   lines
	signals source

	pid1      bool
	toldExec  bool          // tellExec has logged that the execve failed
	execErrno syscall.Errno // why the program could not be executed, or 0
	early     bool          // children are reaped before their SIGCHLD is handled
	delegated bool          // /sys/fs/cgroup is the container's cgroup, and this process is in its leaf
	cgroup    container
	follower  *cgroup.Follower // follows the container's limits, or nil
	oomKills  uint64           // count before the program started

	child     int
	program   outcome
	started   time.Duration
	dir       string // working directory before Spawn, for messages about a relative path
	tty       *terminal
	rewrite   [process.NumSignals]process.Signal // the signal to send for each received signal, or 0
	sent      process.Set                        // forwarded signals
	stopping  countdown                          // time until the program is killed
	settling  countdown                          // time until this process is pinned (process.Pin)
	clock     stopwatch
	pass      pass
	exit      reaper.Exit
	ended     bool // the program has ended, or this process has to exit before it
	abandoned bool // the program may not be killed, and exit is how the kernel will end it
	orphans   bool // this process still has children
	due       bool // children may have ended that are not reaped

	// Methods of the shim, made into functions before the program starts, because that
	// allocates memory.
	collect        func(reaper.Exit) bool
	hurry          func() bool
	explainFailure func() string
	explainShell   func() string
}

// source delivers signals. *process.Signals implements it.
type source interface {
	Next(limit time.Duration) (e process.Event, ok bool)
	Pending() process.Set
	Watch(fd int) error     // Next then returns events with the signal process.Changed
	Refused() syscall.Errno // errno of a sandbox that refuses to let Next wait, or 0
}

// outcome says how the execve of the program ended. *process.Program implements it.
type outcome interface {
	Failed() syscall.Errno
	ViaShell() bool
}

// container is the container's cgroup. ownContainer implements it.
type container interface {
	OOMKills() (kills uint64, ok bool)
	KillOthers() unix.Errno
}

// system has the system calls of this package. Tests replace them.
type system struct {
	start  func(*process.Program) (pid int, errno syscall.Errno)
	kill   func(pid int, sig process.Signal) syscall.Errno
	reap   func(stops bool, fn func(reaper.Exit) bool) (left, more bool)
	noWait func() syscall.Errno // errno of a sandbox that refuses to let reap reap, or 0
	detach func(pid int, sig process.Signal) (traced bool, errno syscall.Errno)
	now    func() time.Duration
	pin    func()
	ask    func(answer func() string, limit time.Duration, hurry func() bool) []byte

	setUp     func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error)
	container func(delegated bool) container
	mount     func(source, target, fstype string, flags uintptr, data string) error
}

var kernel = system{
	start: (*process.Program).Spawn, kill: process.Kill, reap: reaper.Reap, noWait: reaper.Refused,
	detach: process.Detach, now: process.Now, pin: process.Pin, ask: process.Ask,
	setUp: cgroup.Delegate, mount: unix.Mount,
	container: func(delegated bool) container { return ownContainer(delegated) },
}

func newShim(config Config, signals source, log Log) *shim {
	s := &shim{Config: config, system: kernel, log: log, signals: signals, pid1: os.Getpid() == 1, tty: &terminal{fd: -1}}
	s.collect, s.hurry = s.collected, s.stopPending
	s.explainFailure, s.explainShell = s.failureLine, s.shellLine
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

// Run runs the init and returns the exit status.
func Run(config Config, signals *process.Signals, log Log) int {
	s := newShim(config, signals, log)
	if err := s.adopt(); err != nil {
		s.cannotBeInit(err)
		return ExitFailure
	}
	if !s.Exec && !s.mayWait() {
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
	program, errno := s.prepare(signals)
	if errno == 0 && s.Exec {
		errno = program.Exec() // returns only on failure
	}
	s.prepareLines()
	if errno != 0 {
		return s.expect(s.cannotExecute(errno))
	}
	s.tty = openTerminal()
	process.Load() // waits for the file system of the image, which nothing may do later
	process.Alone()
	if errno := s.spawn(program); errno != 0 {
		s.cannotStart(errno)
		return ExitFailure
	}
	// The point of no return. From here on only the end of the program may end this
	// process, because the end of PID 1 ends the container. Nothing allocates memory
	// any more, and no system call involves Go's runtime (docs/adr/0007-alone.md).
	process.CloseInherited(s.tty.fd, s.follower.FD())
	s.settling = countdownOf(settled)
	s.supervise()
	s.tty.reclaim(s.child)
	status := s.report()
	s.drain()
	return status
}

// adopt makes this process the parent of orphans.
func (s *shim) adopt() error {
	if s.ParentDeath != 0 {
		parent := unix.Getppid()
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(s.ParentDeath), 0, 0, 0); err != nil {
			return &os.SyscallError{Syscall: "prctl PR_SET_PDEATHSIG " + process.SignalName(s.ParentDeath), Err: err}
		}
		if unix.Getppid() != parent { // the parent died before prctl(2)
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
		case s.Subreaper: // the user asked for it
			return err
		default:
			s.log.Log(LevelWarn, "orphans will not be reaped", "err", err)
		}
		return nil
	}
	if s.Tini && !s.pid1 && !isSubreaper() {
		// tini's warning, because users of tini look for it.
		s.log.Log(LevelWarn, "Tini is not running as PID 1 and isn't registered as a child subreaper.\n"+
			"Zombie processes will not be re-parented to Tini, so zombie reaping won't work.\n"+
			"To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child subreaper, or run Tini as PID 1.")
	}
	return nil
}

// mayWait reports whether this process may make the two system calls without which no
// signal and no end of a child would reach it. If a sandbox refuses one of them, the
// container would hang, so the program does not start.
func (s *shim) mayWait() bool {
	for _, c := range [...]struct {
		call  string
		errno syscall.Errno
	}{{"rt_sigtimedwait", s.signals.Refused()}, {"wait4", s.noWait()}} {
		if c.errno != 0 {
			s.log.Log(LevelError, "cannot be an init", "err", os.NewSyscallError(c.call, c.errno),
				"hint", "a sandbox refuses the system call: allow "+c.call+" in the seccomp profile")
			return false
		}
	}
	return true
}

func isSubreaper() bool {
	var flag int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&flag)), 0, 0, 0)
	return err == nil && flag == 1
}

// prepare makes everything that is needed to start the program.
func (s *shim) prepare(signals *process.Signals) (*process.Program, syscall.Errno) {
	s.dir, _ = unix.Getwd()
	s.cgroup = s.container(s.delegated)
	s.oomKills, _ = s.cgroup.OOMKills()
	env := s.Env
	if s.Dind {
		if _, set := process.LookupEnv(env, "container"); !set {
			env = append(env[:len(env):len(env)], "container=docker")
		}
	}
	p, errno := process.NewProgram(s.Args, env, signals)
	if errno == 0 && !s.Exec {
		p.NameChild(env)
	}
	return p, errno
}

// spawn starts the program. It does not wait for the execve, which may take any time.
// report finds out how the execve ended.
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

// supervise forwards signals and reaps children until the program has ended. supervise
// reaps first, because children may have ended before this process could get a SIGCHLD.
// It checks the time limits before each signal and before each pass of reapAll, because a
// stream of signals may never end, and neither may a stream of orphans.
func (s *shim) supervise() {
	s.clock = stopwatch{now: s.now, last: s.now()}
	if !s.signals.Pending().Has(unix.SIGCHLD) {
		s.early = true
		s.reapAll()
		s.early = false
	}
	for !s.ended {
		s.spend()
		switch {
		case s.stopping.over():
			s.kill1()
		case s.settling.over():
			s.settling = countdown{}
			s.pin()
		default:
			if e, ok := s.signals.Next(s.wait(min(s.stopping.limit(), s.settling.limit()))); ok {
				s.handle(e)
			}
			if s.due {
				s.reapAll()
				s.tellLeft()
			}
		}
	}
}

// spend takes the time that has passed off the countdowns that run.
func (s *shim) spend() {
	lap := s.clock.lap()
	s.stopping.spend(lap)
	s.settling.spend(lap)
}

// settled is how long the program has to run before this process is pinned. A program
// that ends sooner does not have to wait for the copy. Until then the kernel still has
// the code and the constants in memory, which it has read from the file a moment ago.
const settled = 50 * time.Millisecond

// handle handles a signal. A change of the container's limits also comes as a signal.
func (s *shim) handle(e process.Event) {
	switch e.Signal {
	case unix.SIGCHLD:
		s.tellChild()
		s.due = true
	case process.Changed:
		s.follower.Update()
	default:
		s.forward(e)
		if s.Tini { // tini reaps after every signal
			s.due = true
		}
	}
}

// wait returns how long to wait for a signal, at most limit.
func (s *shim) wait(limit time.Duration) time.Duration {
	if s.due {
		return 0
	}
	return limit
}

// A pass is one call of reapAll. It has an end, even if children end faster than they are
// reaped, because the caller has to look at its deadlines and at the signals that wait. A
// pass of mostReaped children without log lines takes some milliseconds. The reader of the
// log may be so slow that each line takes nearly as long as a write may take. So the lines
// of a pass share a limit of time, and the lines after that are lost.
type pass struct {
	reaped int
	until  time.Duration // when the time for log lines is over, or 0 before the first line
}

const (
	mostReaped = 1000
	mostTalk   = tick
)

// reapAll reaps the children that have ended. If it stops before the last one, s.due stays
// set.
func (s *shim) reapAll() {
	s.pass = pass{}
	s.orphans, s.due = s.reap(s.tty.jobControl(), s.collect)
}

// tell writes a line during a pass, if the pass has time for it.
func (s *shim) tell(line *Line, v *values) {
	if line == nil {
		return
	}
	now := s.now()
	if s.pass.until == 0 {
		s.pass.until = now + mostTalk
	}
	if now < s.pass.until {
		line.say(v)
	}
}

// collected handles a child that has ended or stopped, and reports whether the pass goes
// on.
func (s *shim) collected(e reaper.Exit) bool {
	v := values{pid: e.PID, status: e.Code()}
	switch {
	case e.Status.Stopped():
		s.stopped(e)
	case e.PID == s.child && !s.ended:
		s.exit, s.ended = e, true
		if s.early { // the SIGCHLD of the program has come meanwhile
			s.tellChild()
		}
		s.lines.main.say(&v)
	default:
		s.tell(s.lines.reaped, &v)
		s.tell(s.lines.zombie, &v)
	}
	s.pass.reaped++
	return s.pass.reaped < mostReaped
}

// stopped handles a child that has stopped. Either the child has made this process its
// tracer, or the child is the program in a job of an interactive shell.
func (s *shim) stopped(e reaper.Exit) {
	sig := e.Status.StopSignal()
	traced, errno := s.detach(e.PID, sig)
	switch {
	case traced && errno != 0:
		s.tell(s.lines.detach, &values{pid: e.PID, errno: errno})
	case !traced && e.PID == s.child:
		s.tty.stopWith(s.child, sig)
	}
}

// expect returns status, or 0 if the user expects this status.
func (s *shim) expect(status int) int {
	if s.ExpectExit[status] {
		return 0
	}
	return status
}

// pause reaps until a signal asks for the end. There is no program, so Go's runtime
// stays.
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
