package cgroup

import (
	"cmp"
	"path"
	"strings"
	"time"
)

// Options says what is wanted. The zero value is a good choice.
type Options struct {
	Leaf        string        // where the processes go; "": "init"
	Timeout     time.Duration // how long to retry a busy delegation; 0: 5s, less than 0: not at all
	OOMGroup    string        // for memory.oom.group: "0", "1", or "" to keep it
	Mirror      Mirror        // which limits of the container the leaf gets too
	Anywhere    bool          // act in a process that is not PID 1 too
	Interrupted func() bool   `json:"-"` // gives up a busy delegation before its time; nil: nothing does
}

// Defaults of Options.
const (
	DefaultLeaf    = "init"
	DefaultTimeout = 5 * time.Second
)

func (o Options) withDefaults() Options {
	o.Leaf = cmp.Or(o.Leaf, DefaultLeaf)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	return o
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
	Interrupted  State = "delegation not finished"
	Private      State = "private cgroup namespace"
	HostView     State = "mount shows more than the container's cgroup"
	NotMounted   State = "cgroup v2 not mounted"
	ReadOnly     State = "read-only mount"
	Unprivileged State = "no CAP_SYS_ADMIN"
	Undelegated  State = "cgroup not delegated to this user namespace"
	SharedMount  State = "mount is shared"
	NotOurs      State = "container's cgroup is another"
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
	Container  *Group // that cgroup, nil where it does not show
	Steps      []Step
	Options    Options

	leaf    string
	id      uint64   // with Delegated: of the container's cgroup
	enabled []string // likewise
}

func (p *Plan) skip(s State, reason string) { p.State, p.Skip, p.Reason = s, true, reason }

func (p *Plan) refuse(s State, reason, hint string) {
	p.skip(s, reason)
	p.Actionable, p.Hint = true, hint
}

// Decide turns facts into a plan. It touches nothing.
func Decide(f *Facts, o Options) *Plan {
	o = o.withDefaults()
	p := &Plan{HostPath: f.Unified, Options: o, leaf: o.Leaf}
	p.decide(f)
	return p
}

func (p *Plan) decide(f *Facts) {
	mounted := f.Mount != nil && f.Mount.Type == "cgroup2"
	if p.exclude(f, mounted); p.Skip {
		return
	}
	base := f.Own // the container's cgroup
	if f.inLeaf(p.Options.Leaf) {
		base, p.leaf, p.HostPath = f.Above, path.Base(f.Unified), path.Dir(f.Unified)
		if p.Container = base; base.delegated() {
			p.already(f)
			return
		}
	}
	p.Container = base
	if p.threaded(base); p.Skip {
		return
	}
	// A mount of more than the container's cgroup, or none: /sys/fs/cgroup has to be
	// replaced. A path other than / : that cgroup is not the namespace's root.
	resume := base != f.Own
	remount := !mounted || f.Mount.Root != p.HostPath
	unshare := p.HostPath != "/"
	switch {
	case resume:
		p.State = Interrupted
	case !mounted:
		p.State = NotMounted
	case remount || unshare:
		p.State = HostView
	default:
		p.State = Private
	}
	if p.prevent(f, base, remount, unshare); p.Skip {
		return
	}
	readOnly := mounted && f.Mount.readOnly()
	place := placeStep{
		replace: mounted && len(f.SubMounts) == 0,
		isolate: mounted && !f.Mount.private(),
	}
	if unshare {
		p.add(unshareStep{})
	}
	switch {
	case remount:
		build := buildStep{place: place}
		if base != nil {
			build.own, build.usable = base.Path, !readOnly
		}
		p.add(build)
	case readOnly:
		p.add(writableStep{options: f.Mount.Options})
		fallthrough
	default:
		p.add(openStep{})
	}
	var controllers []string // for the plan to print: enabling reads them anew
	if base == nil || base.Type == "domain threaded" {
		p.add(unthreadStep{})
	}
	if base != nil {
		controllers = base.Controllers
	}
	p.add(evacuateStep{p.leaf})
	p.add(enableStep{controllers})
	if remount {
		p.add(place)
	}
	if unshare && f.PID != 1 {
		p.add(pinStep{})
	}
	p.limits()
}

// already is a delegation that somebody has made, this program included.
func (p *Plan) already(f *Facts) {
	p.State, p.id, p.enabled = Delegated, f.Above.ID, f.Above.Enabled
	// Beside a PID 1 that was started in the host's cgroup namespace a process begins
	// there too, as by runc's exec: the mount's root then lies below the root of ours.
	// Programs look for their own path below /sys/fs/cgroup, so go where it leads.
	if p.HostPath != "/" && f.Mount.Root == p.HostPath && f.PID != 1 && f.SysAdmin {
		p.add(joinStep{p.leaf})
	}
	p.limits()
}

// inLeaf reports whether the own cgroup is a leaf that somebody in the container
// made: this program, hack/dind, a systemd or sysbox (init.scope). The mount's root
// is the container's cgroup then; a container that is merely called init shows more
// above it.
func (f *Facts) inLeaf(leaf string) bool {
	if f.Above == nil || f.Above.Path != mountPoint || f.Above.Root {
		return false
	}
	name := path.Base(f.Unified)
	known := name == leaf || name == "init" || name == "init.scope"
	if f.Above.delegated() { // where PID 1 is too is the leaf, whatever its name
		return known || f.Init == f.Unified
	}
	// Without the controllers it is a delegation that was not finished, and to be
	// taken up where our namespace begins there.
	return known && path.Dir(f.Unified) == "/"
}

// delegated reports whether the cgroup's controllers can limit the cgroups of inner
// containers. Enabled in a domain, they keep it free of processes.
func (g *Group) delegated() bool {
	if len(g.Controllers) == 0 {
		return g.Processes == 0 && g.Foreign == 0
	}
	return len(g.Enabled) > 0 && g.Type == "domain"
}

func (p *Plan) add(s Step) { p.Steps = append(p.Steps, s) }

// exclude skips the environments that there is nothing to do in.
func (p *Plan) exclude(f *Facts, mounted bool) {
	switch {
	case f.PID != 1 && !p.Options.Anywhere:
		p.skip(NotInit, "only the init of a container sets its cgroup up")
	case f.OnHost:
		p.skip(Host, "this is the host's own PID and mount namespace: its cgroups are never touched")
	case f.Symlink:
		p.skip(Unavailable, mountPoint+" is a symbolic link")
	case f.Missing && f.Unified != "" && len(f.V1) == 0:
		// A directory made in sysfs would not be there for anybody else to expect.
		p.refuse(Unavailable, mountPoint+" does not exist", "mount sysfs on /sys, as container runtimes do")
	case !mounted && (f.Mount != nil || f.Unified == "" || len(f.V1) > 0):
		p.excludeV1(f)
	case strings.HasPrefix(f.Unified, "/.."):
		p.refuse(Outside, "this process was moved out of the root of its cgroup namespace, to "+f.Unified,
			"start the program with the container, or join the namespace of PID 1 (nsenter -C)")
	case f.Unified == "/" && f.CgroupNS == InitialCgroupNamespace, f.Own != nil && f.Own.Root:
		p.skip(RealRoot, "the process is in the real root cgroup, which is never drained")
	}
}

// threaded refuses a cgroup that somebody outside has made a thread group.
func (p *Plan) threaded(base *Group) {
	if base != nil && (base.Type == "threaded" || base.Type == "domain invalid") {
		p.refuse(Threaded, "the container's cgroup is of type "+base.Type+", which cannot have controllers for inner containers",
			"its runtime has to create it as a domain: recreate the container")
	}
}

// excludeV1 tells the environments without a v2 hierarchy on /sys/fs/cgroup apart.
func (p *Plan) excludeV1(f *Facts) {
	switch {
	case f.Unified != "" && len(f.V1) > 0:
		p.skip(Hybrid, "containers are in v1 hierarchies here, which nest by themselves")
	case len(f.V1) > 0:
		p.skip(Legacy, "v1 hierarchies nest by themselves")
	case f.Unified == "" && len(f.Errors) > 0:
		p.refuse(Unavailable, "the process's cgroup cannot be read: "+f.Errors[0], "mount proc on /proc; a kernel or sandbox without cgroups has none to show")
	case f.Unified == "":
		p.skip(Unavailable, "the kernel or the sandbox has no cgroups")
	default:
		p.refuse(Unavailable, mountPoint+" is of type "+f.Mount.Type+", not cgroup2", "mount cgroup2 there, or nothing")
	}
}

// prevent skips where something that would be needed is not allowed.
func (p *Plan) prevent(f *Facts, base *Group, remount, unshare bool) {
	readOnly := f.Mount != nil && f.Mount.readOnly()
	switch {
	case (remount || unshare) && !f.SysAdmin:
		p.refuse(Unprivileged, string(p.State)+", and changing that needs CAP_SYS_ADMIN", privileged)
	case (remount || unshare) && f.Init != "" && f.Init != f.Unified:
		p.refuse(NotOurs, "PID 1 is in "+f.Init+" and this process in "+f.Unified+": what is mounted for it would be everybody's",
			"make cgshim the container's PID 1, or start it in the cgroup of that")
	case remount && f.ParentShared:
		p.refuse(SharedMount, "the mount that holds "+mountPoint+" is shared: a change could reach the host",
			"mount it without propagation (rprivate or rslave), or start cgshim before anything makes / shared")
	case !remount && base == nil:
		p.skip(Hidden, "the own cgroup "+f.Unified+" is not below "+mountPoint)
	case !remount && readOnly && !f.SysAdmin:
		p.refuse(ReadOnly, mountPoint+" is mounted read-only", writable)
	case base != nil && !base.Writable && !f.InitialUserNS:
		p.refuse(Undelegated, "the container's cgroup belongs to another user namespace", userNamespace)
	case base != nil && !base.Writable:
		p.refuse(Undelegated, "the container's cgroup may not be written by this user", writable)
	}
}

// threadedControllers are the ones that a threaded cgroup can have; enabling one
// of them with processes inside makes the cgroup "domain threaded" (the kernel
// document, "Threads"). perf_event, the fourth, cannot be listed.
var threadedControllers = []string{"cpu", "cpuset", "pids"}

// limits adds the optional last steps.
func (p *Plan) limits() {
	if p.Options.OOMGroup != "" {
		p.add(oomGroupStep{p.Options.OOMGroup})
	}
	if p.Options.Mirror != MirrorNothing {
		p.add(mirrorStep{p.leaf, p.Options.Mirror})
	}
}
