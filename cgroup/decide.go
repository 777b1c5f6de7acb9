package cgroup

import (
	"path"
	"strings"
	"time"
)

// Options says what is wanted.
type Options struct {
	Leaf         string        // where the processes go, "init"
	Timeout      time.Duration // how long to retry a busy delegation
	OOMGroup     string        // for memory.oom.group: "0", "1", or "" to keep it
	MirrorCPUMax bool          // copy cpu.max into the leaf
	Anywhere     bool          // act in a process that is not PID 1 too
}

// State is a kind of environment.
type State string

const (
	Unavailable  State = "no cgroup v2"
	Legacy       State = "cgroup v1"
	Hybrid       State = "hybrid cgroup v1 and v2"
	Host         State = "on the host"
	NotInit      State = "not PID 1"
	RealRoot     State = "root cgroup of the host"
	Outside      State = "outside the cgroup namespace"
	Hidden       State = "own cgroup not visible"
	Threaded     State = "threaded cgroup"
	Delegated    State = "already delegated"
	Private      State = "private cgroup namespace"
	HostView     State = "mount shows more than the container's cgroup"
	NotMounted   State = "cgroup v2 not mounted"
	ReadOnly     State = "read-only mount"
	Unprivileged State = "no CAP_SYS_ADMIN"
	Undelegated  State = "cgroup not delegated to this user namespace"
	SharedMount  State = "mount is shared"
)

func (s State) String() string { return string(s) }

// Plan is what would be done, or why nothing is.
type Plan struct {
	State      State
	Skip       bool   // nothing is done and nothing is delegated
	Actionable bool   // with Skip: the user can change something
	Reason     string // with Skip: why, in one line
	Hint       string // with Skip: what to change
	HostPath   string // the container's cgroup as far up as can be seen from here
	Steps      []Step
	Options    Options
}

func (s State) skip(reason string) Plan { return Plan{State: s, Skip: true, Reason: reason} }

func (s State) refuse(reason, hint string) Plan {
	return Plan{State: s, Skip: true, Actionable: true, Reason: reason, Hint: hint}
}

// Decide turns facts into a plan. It touches nothing.
func Decide(f Facts, o Options) Plan {
	p := decide(f, o)
	p.Options = o
	if p.HostPath == "" {
		p.HostPath = f.Unified
	}
	return p
}

func decide(f Facts, o Options) Plan {
	mounted := f.Mount != nil && f.Mount.Type == "cgroup2"
	switch {
	case f.PID != 1 && !o.Anywhere:
		return NotInit.skip("only the init of a container sets its cgroup up")
	case f.OnHost:
		return Host.skip("this is the host's own PID and mount namespace: its cgroups are never touched")
	case f.Symlink:
		return Unavailable.skip(mountPoint + " is a symbolic link")
	case f.Mount != nil && !mounted:
		return byV1(f)
	case f.Mount == nil && (f.Unified == "" || len(f.V1) > 0):
		return byV1(f)
	case strings.HasPrefix(f.Unified, "/.."):
		return Outside.refuse("this process was moved out of the root of its cgroup namespace, to "+f.Unified, "start the program with the container, or join the namespace of PID 1 (nsenter -C)")
	case f.Own != nil && f.Own.Root:
		return RealRoot.skip("the process is in the real root cgroup, which is never drained")
	case f.delegated(o.Leaf):
		return Plan{State: Delegated, HostPath: path.Dir(f.Unified), Steps: limits(o)}
	case f.Own != nil && (f.Own.Type == "threaded" || f.Own.Type == "domain invalid"):
		return Threaded.refuse("the container's cgroup is of type "+f.Own.Type+", which cannot have controllers for inner containers",
			"its runtime has to create it as a domain: recreate the container")
	}

	// A mount of more than the own cgroup, or none: /sys/fs/cgroup has to be
	// replaced. A path other than / : the own cgroup is not the namespace's root.
	remount := !mounted || f.Mount.Root != f.Unified
	unshare := f.Unified != "/"
	state := Private
	switch {
	case !mounted:
		state = NotMounted
	case remount || unshare:
		state = HostView
	}
	switch {
	case (remount || unshare) && !f.SysAdmin:
		return Unprivileged.refuse(string(state)+", and changing that needs CAP_SYS_ADMIN", privileged)
	case remount && f.ParentShared:
		return SharedMount.refuse("the mount that holds "+mountPoint+" is shared: a change could reach the host",
			"mount it without propagation (rprivate or rslave), or start cgshim before anything makes / shared")
	case f.Own == nil && !remount:
		return Hidden.skip("the own cgroup " + f.Unified + " is not below " + mountPoint)
	case !f.InitialUserNS && f.Own != nil && !f.Own.Writable && !f.Mount.readOnly():
		return Undelegated.refuse("the container's cgroup belongs to another user namespace", userNamespace)
	case !remount && f.Mount.readOnly() && !f.SysAdmin:
		return ReadOnly.refuse(mountPoint+" is mounted read-only", writable)
	case f.Own != nil && !f.Own.Writable && !f.Mount.readOnly():
		return Undelegated.refuse("the container's cgroup may not be written by this user", writable)
	}

	p := Plan{State: state}
	if unshare {
		p.Steps = append(p.Steps, unshareStep{})
	}
	switch {
	case remount:
		own := ""
		if f.Own != nil {
			own = f.Own.Path
		}
		p.Steps = append(p.Steps, buildStep{own: own})
	default:
		if f.Mount.readOnly() {
			p.Steps = append(p.Steps, writableStep{options: f.Mount.Options})
		}
		p.Steps = append(p.Steps, openStep{})
	}
	if f.Own != nil && f.Own.Type == "domain threaded" {
		if threaded := within(f.Own.Enabled, threadedControllers); len(threaded) > 0 {
			p.Steps = append(p.Steps, unthreadStep{threaded})
		}
	}
	p.Steps = append(p.Steps, evacuateStep{o.Leaf}, enableStep{known(f.Own)})
	if remount {
		p.Steps = append(p.Steps, placeStep{
			replace:   mounted && len(f.SubMounts) == 0,
			isolate:   mounted && !f.Mount.private(),
			unmounted: !mounted,
		})
	}
	p.Steps = append(p.Steps, limits(o)...)
	return p
}

// threadedControllers are the ones that a threaded cgroup can have; enabling one
// of them with processes inside makes the cgroup "domain threaded" (the kernel
// document, "Threads"). perf_event, the fourth, cannot be listed.
var threadedControllers = []string{"cpu", "cpuset", "pids"}

// byV1 tells the environments without a v2 hierarchy on /sys/fs/cgroup apart.
func byV1(f Facts) Plan {
	switch {
	case len(f.V1) == 0 && f.Unified == "":
		return Unavailable.skip("the kernel or the sandbox has no cgroups")
	case f.Unified != "" && len(f.V1) > 0:
		return Hybrid.skip("containers are in v1 hierarchies here, which nest by themselves")
	case len(f.V1) > 0:
		return Legacy.skip("v1 hierarchies nest by themselves")
	}
	return Unavailable.refuse(mountPoint+" is of type "+f.Mount.Type+", not cgroup2", "mount cgroup2 there, or nothing")
}

// delegated reports whether the own cgroup is the leaf of a delegation: ours, a
// systemd's or sysbox's (init.scope). The mount's root is then the container's
// cgroup; a container that is merely called init shows more above it. With
// controllers enabled the kernel keeps the cgroup above free of processes.
func (f Facts) delegated(leaf string) bool {
	name := path.Base(f.Unified)
	if name != leaf && name != "init" && name != "init.scope" || f.Above == nil || f.Above.Path != mountPoint || f.Above.Root {
		return false
	}
	if len(f.Above.Controllers) == 0 {
		return f.Above.Processes == 0 && f.Above.Foreign == 0
	}
	return len(f.Above.Enabled) > 0 && f.Above.Type == "domain"
}

// known lists the controllers for the plan to print; enabling reads them anew.
func known(g *Group) []string {
	if g == nil {
		return nil
	}
	return g.Controllers
}

// limits are the optional last steps.
func limits(o Options) []Step {
	var steps []Step
	if o.OOMGroup != "" {
		steps = append(steps, oomGroupStep{o.OOMGroup})
	}
	if o.MirrorCPUMax {
		steps = append(steps, mirrorStep{o.Leaf})
	}
	return steps
}
