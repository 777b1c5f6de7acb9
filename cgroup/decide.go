package cgroup

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Options says how to delegate. The zero value is a good choice.
type Options struct {
	Leaf        string        // name of the leaf, or "" for a name by which agents on the node find the container
	Timeout     time.Duration // how long to retry if the cgroup is busy, or 0 for DefaultTimeout; less than 0 is no retry
	OOMGroup    string        // value for memory.oom.group, "0" or "1", or "" to keep the value
	Mirror      Mirror        // which limits of the container are copied into the leaf
	Anywhere    bool          // act in every process, not only in the container's entry point
	Interrupted func() bool   `json:"-"` // ends the observation and the retries early when it returns true, or nil
}

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 5 * time.Second

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	return o
}

// State names a kind of environment.
type State string

const (
	Unavailable  State = "no cgroup v2"
	Absent       State = "no cgroups"
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
	NoRoom       State = "no room for inner cgroups"
)

func (s State) String() string { return string(s) }

// V2 reports whether containers are in cgroup v2 here. There is nothing to delegate with
// cgroup v1, with a hybrid of both, and in a sandbox without cgroups such as gVisor.
func (s State) V2() bool { return s != Legacy && s != Hybrid && s != Absent }

// Refusal says why Decide refuses to delegate.
type Refusal struct {
	State  State
	Reason string // one line
	Hint   string // says what the user can change, or "" for nothing
}

// Plan has the steps of a delegation, or the reason for no delegation.
type Plan struct {
	State     State
	Refusal   *Refusal // why the cgroup is not and will not be delegated, or nil if it is, or if the steps delegate it
	HostPath  string   // path of the container's cgroup, as far up as this process can see the path
	Container *Group   // the container's cgroup, or nil if it is not visible
	NoRoom    *Refusal // which limit leaves no room for inner cgroups, also if the cgroup is delegated already, or nil
	Steps     []Step
	Options   Options

	leaf     string // name of the leaf, which may not exist yet
	again    bool   // the steps only remove what a killed run has left, so observe again afterwards
	mountNS  uint64 // see note
	readOnly int    // see note

	// These are set in state Delegated only.
	outside bool     // this process is outside of the container's cgroup namespace
	id      uint64   // ID of the container's cgroup
	enabled []string // the enabled controllers

	started time.Time // if this is zero, Apply takes the time of the call
}

// skip returns a refusal that the user can do nothing about.
func skip(s State, reason string) *Refusal { return &Refusal{State: s, Reason: reason} }

func refuse(s State, reason, hint string) *Refusal {
	return &Refusal{State: s, Reason: reason, Hint: hint}
}

// Decide turns facts into a plan. It touches nothing.
func Decide(f *Facts, o Options) *Plan {
	o = o.withDefaults()
	p := &Plan{HostPath: f.Unified, Options: o, leaf: cmp.Or(o.Leaf, leafOf(f.Container)), mountNS: f.MountNS}
	if p.Refusal = p.decide(f); p.Refusal != nil {
		p.State = p.Refusal.State
	}
	return p
}

func (p *Plan) decide(f *Facts) *Refusal {
	if r := f.exclude(p.Options); r != nil {
		return r
	}
	if f.Mount.between() {
		p.State, p.again = Interrupted, true
		p.add(clearStep{})
		return nil
	}
	where := f.container(p.Options.Leaf)
	if where.disputed {
		return refuse(NotOurs, "this process's cgroup "+f.Unified+" has the name of a leaf, and processes of an outer PID namespace are beside it: the cgroup may belong to a container of its own",
			"give no other cgroup of the outer container the name of a leaf, and put no process beside the leaf from outside")
	}
	base := where.group // the container's cgroup
	p.Container, p.leaf, p.HostPath, p.NoRoom = base, where.leaf, where.path, f.noRoom(base)
	mounted := f.Mount != nil && f.Mount.Type == "cgroup2"
	// /sys/fs/cgroup has to be replaced if no cgroup2 is mounted there, or if the mount
	// shows more than the container's cgroup. A path other than / means that the cgroup
	// namespace has another root than the container's cgroup.
	remount := !mounted || f.Mount.Root != p.HostPath
	unshare := p.HostPath != "/"
	if where.begun && !remount && base.delegated() {
		p.already(f, where)
		return nil
	}
	if r := base.threaded(); r != nil {
		return r
	}
	switch {
	case where.begun:
		p.State = Interrupted
	case !mounted:
		p.State = NotMounted
	case remount || unshare:
		p.State = HostView
	default:
		p.State = Private
	}
	if r := p.prevent(f, where, remount, unshare); r != nil {
		return r
	}
	if remount && f.tucking() {
		p.State, p.again = Interrupted, true
		p.add(settleStep{f.Ground.Point, f.Kept.Room, slices.Contains(f.SubMounts, f.Kept.Room)})
		return nil
	}
	readOnly := mounted && f.Mount.readOnly()
	uncover := f.placed(where)
	place := placeStep{
		replace: mounted && (!f.ParentShared || uncover) && len(f.SubMounts) == 0,
		uncover: uncover,
		isolate: mounted && !f.Mount.private(),
	}
	switch {
	case unshare && where.begun:
		p.add(regainStep{base: base.Path, leaf: p.leaf, below: where.below})
	case unshare:
		p.add(unshareStep{})
	}
	switch {
	case remount:
		if base != nil && f.Ground != nil && f.Ground.private() && f.Holder != nil && f.Holder.ID == f.Ground.ID {
			place.holder, place.room, place.keep = f.Ground.Point, base.Path+"/"+p.leaf, f.Ground.ID
		}
		build := buildStep{place: place}
		if base != nil {
			build.own, build.usable = base.Path, !readOnly
		}
		p.add(build)
	case readOnly:
		p.add(writableStep{f.Mount.Options})
		p.readOnly = f.Mount.ID // Undo has to know it
		fallthrough
	default:
		p.add(openStep{})
	}
	// The leaf alone does not tell a run that was killed in a mount of the whole hierarchy
	// from a container with the name of a leaf.
	if pin := unshare && f.PID != 1; pin || remount || p.readOnly != 0 || !known(p.leaf) {
		p.addOptional(keepStep{leaf: p.leaf, pin: pin, shared: f.SharedRooms, quiet: !pin && known(p.leaf)})
	}
	var controllers []string // for the printed plan only; enableStep reads the list again
	if base == nil || base.Type == "domain threaded" {
		p.add(unthreadStep{})
	}
	if base != nil {
		controllers = base.Controllers
	}
	p.add(evacuateStep{p.leaf, siblingOf(p.leaf)})
	p.add(enableStep{controllers})
	if remount {
		p.add(place)
	}
	p.limits()
	return nil
}

// already fills the plan in for a cgroup that another program, or an earlier run of
// cgshim, has delegated.
func (p *Plan) already(f *Facts, where place) {
	p.State, p.id, p.enabled = Delegated, where.group.ID, where.group.Enabled
	// If PID 1 was started in the host's cgroup namespace, a process that runc starts by
	// exec is in that namespace too. The root of the mount then lies below the root of
	// this process's namespace. Programs look below /sys/fs/cgroup for the path that
	// /proc/self/cgroup has. So join the namespace in which that path is right.
	if p.HostPath != "/" {
		p.outside = true
		if f.PID != 1 && f.SysAdmin {
			p.addOptional(joinStep{base: where.group.Path, below: where.below})
		}
	}
	p.limits()
}

// place describes where the container's cgroup is, as far as the facts tell.
type place struct {
	group *Group
	path  string // its path from the root of this process's cgroup namespace
	leaf  string // name of the leaf, which may not exist yet
	below string // path of the own cgroup below group
	begun bool   // processes were moved into the leaf, by a delegation that was finished or only begun

	disputed bool // the cgroup may belong to another container
}

// holds reports whether a process with this cgroup is in the container's cgroup or in its
// leaf, where a run of cgshim has moved processes into the leaf.
func (p *place) holds(cgroup string) bool {
	down, ok := below(cgroup, p.path)
	return ok && p.begun && (down == "" || down == "/"+p.leaf)
}

// container finds the container's cgroup. Usually this is the own cgroup. If a program
// in the container has moved processes into a leaf, the container's cgroup is above the
// own cgroup. Such programs are cgshim, hack/dind, systemd and sysbox (init.scope). k3s
// and kubelet move processes even deeper.
func (f *Facts) container(leaf string) place {
	for _, g := range slices.Backward(f.Above) {
		down, _ := below(f.path(), g.Path)
		p := place{group: g, path: strings.TrimSuffix(f.Unified, down), below: down, begun: true}
		if p.path == "" {
			p.path = "/"
		}
		p.leaf, _, _ = strings.Cut(down[1:], "/")
		switch {
		case g.Root:
		case f.Kept != nil && f.Kept.ID == g.ID && f.Kept.Leaf == p.leaf:
			return p
		case g == f.top() && g.delegated():
			if name, ours := f.ours(p, leaf); ours {
				p.leaf, p.disputed = name, f.Strangers > 0
				return p
			}
		case g == f.top() && p.path == "/" && leaves(down, leaf):
			return p // without controllers the delegation is not finished
		case down == "/"+p.leaf && known(p.leaf, leaf) && len(g.Controllers) > 0 && len(g.Enabled) == 0:
			// A run of cgshim was killed here, in a mount of the whole hierarchy. If a
			// container merely has the name of a leaf, its runtime has enabled
			// controllers for it.
			return p
		}
	}
	own := place{group: f.Own, path: f.Unified, leaf: cmp.Or(leaf, leafOf(f.Container))}
	switch {
	case f.leftBehind():
		own.leaf, own.begun = f.Kept.Leaf, true
	case f.Own == nil && f.Unified != "/" && f.ownNamespace() && f.leavesOrKept(leaf):
		name, _, _ := strings.Cut(f.Unified[1:], "/")
		own = place{path: "/", leaf: name, below: f.Unified, begun: true}
	}
	return own
}

// leftBehind reports whether a killed run has moved PID 1 into the leaf, and this process
// is still in the container's cgroup. If controllers are enabled, another run has moved
// this process meanwhile.
func (f *Facts) leftBehind() bool {
	down, ok := below(f.Init, f.Unified)
	return f.Init != "" && ok && f.Own != nil && f.Kept != nil && f.Kept.ID == f.Own.ID && !f.Own.delegated() && down == "/"+f.Kept.Leaf
}

// ownNamespace reports whether this process is in a cgroup namespace whose root the mount
// at /sys/fs/cgroup does not begin at. cgshim makes the namespace before it moves
// processes, and the mount afterwards.
func (f *Facts) ownNamespace() bool {
	return f.CgroupNS != InitialCgroupNamespace && (f.Mount == nil || strings.HasPrefix(f.Mount.Root, "/.."))
}

func (f *Facts) leavesOrKept(leaf string) bool {
	return leaves(f.Unified, leaf) || f.Kept != nil && f.Unified == "/"+f.Kept.Leaf
}

// tucked reports whether a run of cgshim was killed in placeTucked.
func (f *Facts) tucked() bool {
	return f.Kept != nil && f.Ground != nil && f.Kept.Holder == f.Ground.ID && strings.HasPrefix(f.Kept.Room, mountPoint+"/")
}

// tucking reports whether that run has left a peer of the ground.
func (f *Facts) tucking() bool {
	return f.tucked() && (f.Ground.shared() || slices.Contains(f.SubMounts, f.Kept.Room))
}

// placed reports whether a killed run has placed the new mount below the old mount. The
// new mount may be shared after placeTucked, but has no peer.
func (f *Facts) placed(where place) bool {
	return where.begun && f.Under.shows(where.path) && !f.Under.readOnly() && (!f.ParentShared || f.tucked())
}

// ours reports whether a delegated cgroup at the root of the mount belongs to this
// container. It returns the name of the leaf that the container's PID 1 is in.
//
// An inner container that was started in the cgroup namespace of its outer container
// has the same mount. The cgroup of the inner container is beside the leaf of the outer
// container, or, with `podman --cgroups=split`, below that leaf. The leaf then has
// processes of a PID namespace above. So ours looks at the cgroup of PID 1 and requires
// that every name on the way there is the name of a leaf. ours accepts any other name
// only if the PID 1 of a running container is in that cgroup, and no processes of a PID
// namespace above are beside it.
func (f *Facts) ours(p place, leaf string) (name string, ours bool) {
	down := p.below
	if f.Init != "" { // PID 1 may have moved, and this process may be one of its services
		down, ours = below(f.Init, p.path)
		if !ours || down == "" {
			return "", false
		}
	}
	name, deeper, _ := strings.Cut(down[1:], "/")
	return name, leaves(down, leaf) || f.Init != "" && deeper == "" && f.Strangers == 0
}

// known reports whether name is the name of a leaf. That is a name of leafOf, systemd's
// init.scope, or any of others.
func known(name string, others ...string) bool {
	return name == DefaultLeaf || name == "init.scope" || automatic(name) || slices.Contains(others, name)
}

// leaves reports whether every name in path is the name of a leaf.
func leaves(path, other string) bool {
	names := strings.Split(strings.TrimPrefix(path, "/"), "/")
	return !slices.ContainsFunc(names, func(name string) bool { return !known(name, other) })
}

// delegated reports whether the cgroup's controllers can limit the cgroups of inner
// containers. The kernel lets no process into a domain with enabled controllers, so
// delegated looks for processes only if there are no controllers.
func (g *Group) delegated() bool {
	if len(g.Controllers) == 0 {
		return g.Processes == 0 && g.Foreign == 0
	}
	return len(g.Enabled) > 0 && g.Type == "domain"
}

func (p *Plan) add(a action) { p.Steps = append(p.Steps, Step{action: a}) }

// addOptional adds a step that the delegation does not depend on.
func (p *Plan) addOptional(a action) { p.Steps = append(p.Steps, Step{action: a, Optional: true}) }

// entry reports whether this process is the container's entry point. That is PID 1, or
// the program that another init has started. Every other process was started into the
// running container, by an exec or by a service manager.
func (f *Facts) entry() bool {
	switch {
	case f.PID == 1:
		return true
	case f.Elsewhere:
		// PID 1 is the pause program of a pod, or it belongs to another container. The
		// parent of an entry point is a process of the runtime, which is not visible.
		// The parent of an exec is not visible either, but an exec finds an older
		// process in the cgroup.
		return f.Parent == 0 && f.First
	}
	// With `docker run --init`, PID 1 has started this process and is in the same
	// cgroup. A service manager puts a service into another cgroup. An exec whose
	// parent has ended also has PID 1 as its parent, but it is in the session of the
	// exec.
	return f.Parent == 1 && f.Init != "" && f.Init == f.Unified && (f.Session == f.InitSession || f.Session == f.PID)
}

// exclude refuses environments in which there is nothing to do.
func (f *Facts) exclude(o Options) *Refusal {
	mounted := f.Mount != nil && (f.Mount.Type == "cgroup2" || f.Mount.between())
	switch {
	case f.OnHost && f.HostUnseen:
		return skip(Host, "PID 1 is the host's and its mounts cannot be seen: this may be the host, and cgshim never changes the host's cgroups")
	case f.OnHost:
		return skip(Host, "this is the host's own PID and mount namespace, and cgshim never changes the host's cgroups")
	case mounted && f.Unified != "":
	case f.Unified != "" && len(f.V1) > 0:
		return skip(Hybrid, "containers are in cgroup v1 hierarchies here, which nest without a delegation")
	case len(f.V1) > 0:
		return skip(Legacy, "cgroup v1 hierarchies nest without a delegation")
	case f.Unified == "" && f.Unreadable == "":
		return skip(Absent, "the kernel or the sandbox has no cgroups")
	}
	switch {
	case f.Unified == "/" && f.CgroupNS == InitialCgroupNamespace, f.Own != nil && f.Own.Root:
		return skip(RealRoot, "the process is in the real root cgroup, and cgshim never moves its processes")
	case !o.Anywhere && !f.entry():
		return refuse(NotInit, "this process is neither the container's PID 1 nor its entry point beside another init", entryPoint)
	case f.Unified == "":
		return refuse(Unavailable, "the process's cgroup cannot be read: "+f.Unreadable, "mount proc on /proc; in a kernel or sandbox without cgroups there is nothing to delegate")
	case f.Symlink:
		return skip(Unavailable, mountPoint+" is a symbolic link")
	case f.Missing:
		// Do not make the directory, because no program expects it in such a container.
		return refuse(Unavailable, mountPoint+" does not exist", "mount sysfs on /sys, as container runtimes do")
	case f.Mount != nil && !mounted:
		return refuse(Unavailable, mountPoint+" is of type "+f.Mount.Type+", not cgroup2", "mount cgroup2 there, or leave it unmounted")
	case strings.HasPrefix(f.Unified, "/.."):
		return refuse(Outside, "this process was moved out of the root of its cgroup namespace, to "+f.Unified,
			"start the program together with the container, or join the cgroup namespace of PID 1 (nsenter -C)")
	}
	return nil
}

// threaded refuses a cgroup that a program outside of the container has made threaded.
func (g *Group) threaded() *Refusal {
	if g != nil && (g.Type == "threaded" || g.Type == "domain invalid") {
		return refuse(Threaded, "the container's cgroup is of type "+g.Type+", which cannot enable controllers for inner containers",
			"recreate the container, and let its runtime create the cgroup as a domain")
	}
	return nil
}

// prevent refuses if a step that the plan needs is not allowed.
func (p *Plan) prevent(f *Facts, where place, remount, unshare bool) *Refusal {
	base := where.group
	readOnly := f.Mount != nil && f.Mount.readOnly()
	switch {
	case (remount || unshare) && !f.SysAdmin:
		return refuse(Unprivileged, string(p.State)+", and only a process with CAP_SYS_ADMIN can change that", privileged)
	case (remount || unshare) && f.Init != "" && f.Init != f.Unified && !where.holds(f.Init):
		return refuse(NotOurs, "PID 1 is in "+f.Init+" and this process is in "+f.Unified+": a mount for this process would change every process of the container",
			"make cgshim the container's PID 1, or start it in the cgroup of PID 1")
	case remount && f.Mount == nil && f.ParentShared:
		return refuse(SharedMount, "nothing is mounted on "+mountPoint+", and the mount that holds it is shared: a new mount could reach the host",
			"have the runtime mount cgroup2 there, mount the directory above without propagation (rprivate or rslave), or start cgshim before anything makes / shared")
	case !remount && base == nil:
		return skip(Hidden, "this process's cgroup "+f.Unified+" is not below "+mountPoint)
	case !remount && readOnly && !f.SysAdmin:
		return refuse(ReadOnly, mountPoint+" is mounted read-only", writable)
	case base != nil && !base.Writable && !f.InitialUserNS:
		return refuse(Undelegated, "the container's cgroup belongs to another user namespace", userNamespace)
	case base != nil && !base.Writable:
		return refuse(Undelegated, "the container's cgroup may not be written by this user", writable)
	}
	return p.NoRoom
}

// threadedControllers are the controllers that a threaded cgroup can have. If a program
// enables one of them while processes are in the cgroup, the cgroup becomes "domain
// threaded" (the kernel document, "Threads"). perf_event, the fourth, is never listed.
var threadedControllers = []string{"cpu", "cpuset", "pids"}

// limits adds the optional last steps.
func (p *Plan) limits() {
	if p.Options.OOMGroup != "" {
		p.addOptional(oomGroupStep{p.Options.OOMGroup})
	}
	if p.Options.Mirror != MirrorNothing {
		p.addOptional(mirrorStep{p.leaf, p.Options.Mirror})
	}
}
