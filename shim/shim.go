// Package shim prepares the life of the init. It turns the options into orders for PID 1,
// delegates the cgroup, does the chores of docker-in-docker and renders the log lines.
//
// It runs in a helper of PID 1 (package pid1), which is an ordinary Go program. The facts are
// about PID 1, whose child the helper is. In a plain `go build` it runs in PID 1 itself.
package shim

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/internal/sys"
	"github.com/cgshim/cgshim/reaper"
	"github.com/cgshim/cgshim/shim/pid1"
)

// Process is this process, which has one role in the life of the init.
type Process struct {
	orders *pid1.Orders
	role   pid1.Role
	host   *host // or nil in a helper
}

// Begin finds out what this process is to do. Call it before main runs, on the main thread,
// and before anything that can fail or take time. PID 1 keeps the main goroutine on the main
// thread.
func Begin() *Process {
	if !pid1.Native() {
		runtime.LockOSThread()
		h := newHost()
		return &Process{orders: pid1.Host(h), host: h}
	}
	orders, role := pid1.Helper()
	cgroup.ActFor(cgroup.Process{PID: orders.PID, Parent: orders.Parent, Call: orders.Ask, String: orders.CString})
	return &Process{orders: orders, role: role}
}

// Helps reports whether this process is a helper of PID 1, or PID 1 with --pause.
func (p *Process) Helps() bool { return p.host == nil }

// Args returns the arguments, with the name of this program.
func (p *Process) Args() []string { return p.orders.Arguments() }

// Env returns the environment that PID 1 has got.
func (p *Process) Env() []string { return p.orders.Environ() }

// PID returns the PID of PID 1.
func (p *Process) PID() int { return p.orders.PID }

// Prepares reports whether this process prepares the start, which is the first to read the
// options.
func (p *Process) Prepares() bool { return p.role == pid1.Prepare }

// Run does what this process is to do, and returns its exit status.
func (p *Process) Run(config Config, log Log) int {
	j := &job{Config: config, log: log, orders: p.orders, native: p.host == nil}
	j.kernel = kernel
	switch p.role {
	case pid1.Prepare:
		if p.host != nil {
			j.pending = p.host.Pending
		}
		if status := j.prepare(); status != 0 || p.host == nil {
			return status
		}
		p.host.job = j
		return p.live(config)
	case pid1.Pause:
		return pause()
	}
	j.help(p.role)
	return 0
}

// live goes on in an ordinary Go program, which is PID 1 itself.
func (p *Process) live(config Config) int {
	if config.Pause {
		return pause()
	}
	p.host.claim(p.orders)
	pid1.Live()
	return 0
}

// job is the work of one helper.
type job struct {
	Config
	kernel  system
	log     Log
	orders  *pid1.Orders
	native  bool
	pending func() pid1.Set // signals that wait, in an ordinary Go program
}

// system has what tests replace.
type system struct {
	delegate func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error)
	undo     func(cgroup.Options) error
	decide   func(cgroup.Options) *cgroup.Plan
	oomKills func(delegated bool) (uint64, bool)
	mount    func(source, target, fstype string, flags uintptr, data string) error
}

var kernel = system{delegate: cgroup.Delegate, undo: cgroup.Undo, decide: decide, oomKills: cgroup.OOMKills, mount: unix.Mount}

func decide(o cgroup.Options) *cgroup.Plan { return cgroup.Decide(cgroup.Observe(), o) }

// prepare fills in the orders. If it returns a status other than 0, the program does not
// start.
func (j *job) prepare() int {
	o := j.orders
	j.orderOptions()
	if err := j.adopt(); err != nil {
		j.cannotBeInit(err)
		return ExitFailure
	}
	j.setOOMScoreAdj()
	if j.Pause {
		o.Finish()
		return 0
	}
	j.listDescriptors()
	if status := j.delegate(); status != 0 {
		return status
	}
	j.prepareDind()
	j.orderLines()
	j.orderProgram()
	o.Kills, o.KillsKnown = j.kernel.oomKills(o.Delegated)
	o.Finish()
	return 0
}

// orderOptions copies the options.
func (j *job) orderOptions() {
	o := j.orders
	o.Options = pid1.Options{
		Exec: j.Exec, Pause: j.Pause, Tini: j.Tini, KillGroup: j.KillGroup, Explains: !j.Tini,
		ExpectExit: j.ExpectExit, StopSignals: j.StopSignals, StopTimeout: j.StopTimeout, DrainTimeout: j.DrainTimeout,
	}
	o.ForwardAll()
	for from, to := range j.Rewrite {
		o.Options.Rewrite[from] = uint8(to)
	}
	o.Job = !j.Exec && startedByShell(o.PID, o.Parent)
	if o.PID != 1 && !j.Tini {
		j.log.Log(LevelInfo, "not PID 1", "parent", o.Parent, "parent_name", parentName(o.Parent), "job_of_a_shell", o.Job)
	}
	o.Require = 0
	if j.required() {
		o.Require = 1
	}
	o.Read = 1
}

// adopt makes PID 1 the parent of orphans.
func (j *job) adopt() error {
	o := j.orders
	if j.ParentDeath != 0 {
		if _, errno := j.call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(j.ParentDeath), 0, 0); errno != 0 {
			return &os.SyscallError{Syscall: "prctl PR_SET_PDEATHSIG " + SignalName(j.ParentDeath), Err: errno}
		}
		if parent, _ := j.call(unix.SYS_GETPPID); int(parent) != o.Parent { // the parent died before prctl(2)
			_ = unix.Kill(o.PID, j.ParentDeath)
		}
	}
	if !j.Subreaper && (o.PID == 1 || j.Tini || j.Exec) {
		j.warnOfOrphans()
		return nil
	}
	_, errno := j.call(unix.SYS_PRCTL, unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0)
	switch {
	case errno == 0 && j.Tini:
		j.log.Log(LevelTrace, "Registered as child subreaper")
	case errno == 0:
		j.log.Log(LevelTrace, "registered as child subreaper")
	case j.Subreaper: // the user asked for it
		return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", errno)
	default:
		j.log.Log(LevelWarn, "orphans will not be reaped", "err", errno)
	}
	return nil
}

// warnOfOrphans has tini's warning, because users of tini look for it.
func (j *job) warnOfOrphans() {
	if j.Tini && j.orders.PID != 1 && !j.isSubreaper() {
		j.log.Log(LevelWarn, "Tini is not running as PID 1 and isn't registered as a child subreaper.\n"+
			"Zombie processes will not be re-parented to Tini, so zombie reaping won't work.\n"+
			"To fix the problem, use the -s option or set the environment variable TINI_SUBREAPER to register Tini as a child subreaper, or run Tini as PID 1.")
	}
}

func (j *job) isSubreaper() bool {
	_, errno := j.call(unix.SYS_PRCTL, unix.PR_GET_CHILD_SUBREAPER, j.orders.FlagAddress(), 0, 0)
	return errno == 0 && j.orders.Flag == 1
}

// call makes a system call in PID 1.
func (j *job) call(number uintptr, arguments ...uintptr) (uintptr, syscall.Errno) {
	if j.native {
		return j.orders.Ask(number, arguments...)
	}
	var a [6]uintptr
	copy(a[:], arguments)
	r := sys.Call(number, a[0], a[1], a[2], a[3], a[4], a[5])
	return r, sys.Errno(r)
}

// pause reaps until a signal asks for the end. There is no program, so the runtime reaps.
func pause() int {
	h := newHost()
	reaper.Pause()
	_ = os.Chdir("/")
	for {
		switch <-h.received {
		case unix.SIGTERM, unix.SIGINT:
			return 0
		}
	}
}
