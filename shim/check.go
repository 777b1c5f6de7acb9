package shim

import (
	"cmp"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/cgshim/cgshim/cgroup"
)

// diagnosis is the output of --check.
type diagnosis struct {
	Verdict string        `json:"verdict"`
	State   string        `json:"state"`
	Reason  string        `json:"reason,omitempty"`
	Hint    string        `json:"hint,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
	Steps   []string      `json:"steps"`
	Facts   *cgroup.Facts `json:"facts"`
	Limits  cgroup.Limits `json:"limits"`
	Leaf    *cgroup.Leaf  `json:"leaf"`
}

// Check prints a description of this environment and the steps of a delegation. It
// changes nothing. The status is 0 if the cgroup is delegated or could be, and 1
// otherwise.
func Check(config Config, asJSON bool, w io.Writer) int {
	d, possible := diagnoseCgroup(config)
	var err error
	if asJSON {
		err = json.NewEncoder(w).Encode(d)
	} else {
		_, err = io.WriteString(w, d.text())
	}
	if err != nil || !possible {
		return ExitFailure
	}
	return 0
}

func diagnoseCgroup(config Config) (d *diagnosis, possible bool) {
	d = &diagnosis{Facts: cgroup.Observe(), Steps: []string{}}
	plan := cgroup.Decide(d.Facts, config.Cgroup)
	switch {
	case plan.State == cgroup.NotInit:
		plan = d.running(plan, config.Cgroup)
	case d.Facts.PID != 1 && plan.Refusal == nil:
		d.note("not PID 1: the report is about this process, which is the entry point beside another init, or is asked to act")
	case d.Facts.PID != 1:
		d.note("not PID 1: the report is about this process")
	}
	if name := parentName(d.Facts.Parent); d.Facts.PID != 1 && name != "" {
		as := "which is no shell with job control"
		if startedByShell(d.Facts.PID, d.Facts.Parent) {
			as = "as whose job cgshim stops when the program stops"
		}
		d.note("started by PID " + strconv.Itoa(d.Facts.Parent) + " " + cgroup.Quote(name) + ", " + as)
	}
	if config.CgroupMode == CgroupOff && plan.Refusal == nil && plan.State != cgroup.Delegated {
		plan.Refusal = &cgroup.Refusal{State: plan.State, Reason: cmp.Or(config.CgroupFrom, "--cgroup=off, the default under the name "+config.Name+",") + " leaves cgroups alone", Hint: "--cgroup=auto or --cgroup=require"}
	}
	d.State = plan.State.String()
	d.Limits = plan.Container.Limits()
	if plan.Refusal == nil {
		d.leaf(plan.Leaf(d.Facts))
	}
	switch r := plan.Refusal; {
	case r != nil:
		d.Verdict, d.Reason, d.Hint = "cgroups will not be delegated", r.Reason, r.Hint
		if config.requires(r.State) {
			d.Verdict += ", and the program would not start, because " + config.CgroupFrom + " requires a delegation"
		}
	case plan.State == cgroup.Delegated && plan.NoRoom != nil:
		d.Verdict, d.Reason, d.Hint = "delegated already, but no inner container can be created", plan.NoRoom.Reason, plan.NoRoom.Hint
	case plan.State == cgroup.Delegated:
		d.Verdict = "delegated already: inner containers are created under " + ownCgroup(plan)
	default:
		d.Verdict = "inner containers will be created under " + ownCgroup(plan)
	}
	if plan.Refusal == nil {
		for _, step := range plan.Steps {
			d.Steps = append(d.Steps, step.String())
		}
	}
	return d, plan.Refusal == nil
}

// requires reports whether the program does not start if the cgroup is not delegated in
// this state.
func (c *Config) requires(state cgroup.State) bool {
	return c.CgroupMode == CgroupRequire || c.CgroupMode == CgroupRequireV2 && state.V2()
}

// ownCgroup names the container's cgroup. The path alone would read as the host's root
// cgroup if it is / in a private cgroup namespace.
func ownCgroup(plan *cgroup.Plan) string {
	return "this container's cgroup, which is " + plan.HostPath + " as this process sees it"
}

// running describes the container's entry point instead of this process. An exec
// started this process into the running container, so this process would do nothing.
func (d *diagnosis) running(plan *cgroup.Plan, o cgroup.Options) *cgroup.Plan {
	entry := cgroup.ObserveEntry()
	if entry == nil {
		return plan
	}
	d.Facts = entry
	d.note("not PID 1, but started into a running container: the report is about PID " + strconv.Itoa(entry.PID) +
		", as this process sees it; an exec may be in another cgroup namespace")
	o.Anywhere = true
	plan = cgroup.Decide(entry, o)
	if plan.Refusal == nil && plan.State != cgroup.Delegated {
		plan.Refusal = &cgroup.Refusal{
			State:  plan.State,
			Reason: "the container runs, and its entry point has not delegated its cgroup",
			Hint:   `make cgshim the container's entry point; if cgshim is the entry point, the line "cgroup not delegated" in its log has the reason`,
		}
		d.note("with cgshim as the entry point, inner containers would be created under " + ownCgroup(plan))
	}
	return plan
}

func (d *diagnosis) note(text string) { d.Notes = append(d.Notes, text) }

// text formats the diagnosis as lines. It escapes values of the container, such as the
// name of a process, so that they cannot look like another line.
func (d *diagnosis) text() string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString(key + strings.Repeat(" ", max(1, 22-len(key))) + printable(value) + "\n")
		}
	}
	line("verdict", d.Verdict)
	line("state", d.State)
	line("reason", d.Reason)
	line("what to change", d.Hint)
	for _, note := range d.Notes {
		line("note", note)
	}
	for i, step := range d.Steps {
		for _, part := range strings.Split(step, "\n") {
			line("step "+strconv.Itoa(i+1), part)
		}
	}
	f := d.Facts
	line("kernel", f.Kernel)
	line("pid", strconv.Itoa(f.PID))
	line("parent", strconv.Itoa(f.Parent))
	line("session", strconv.Itoa(f.Session))
	line("user, group", strconv.Itoa(f.UID)+", "+strconv.Itoa(f.GID))
	line("groups", numbers(f.Groups))
	line("user namespace", userNamespace(f))
	line("uid map", f.IDMap)
	line("CAP_SYS_ADMIN", yesNo(f.SysAdmin))
	line("CAP_DAC_OVERRIDE", yesNo(f.Override))
	line("cgroup namespace", cgroupNamespace(f.CgroupNS))
	line("pid namespace", namespace(f.PIDNS))
	line("mount namespace", namespace(f.MountNS))
	line("on the host", onTheHost(f))
	line("cgroup", f.Unified)
	line("container id", f.Container)
	line("cgroup of PID 1", f.Init)
	if f.Init != "" {
		line("session of PID 1", strconv.Itoa(f.InitSession))
	}
	line("PID 1 elsewhere", yesNo(f.Elsewhere))
	line("first process", yesNo(f.First))
	line("v1 hierarchies", strings.Join(f.V1, "; "))
	switch {
	case f.Mount != nil:
		line("/sys/fs/cgroup", mount(f.Mount))
	case f.Missing:
		line("/sys/fs/cgroup", "missing")
	default:
		line("/sys/fs/cgroup", "not mounted")
	}
	line("symbolic link", yesNo(f.Symlink))
	if f.Under != nil {
		line("mount covered", mount(f.Under))
	}
	if f.Holder != nil {
		line("mount above", mount(f.Holder))
	}
	if f.Ground != nil && (f.Holder == nil || f.Ground.ID != f.Holder.ID) {
		line("mount below all", mount(f.Ground))
	}
	line("mount above shared", yesNo(f.ParentShared))
	line("shared rooms", strings.Join(f.SharedRooms, " "))
	line("mounts below", strings.Join(f.SubMounts, " "))
	d.group(line, "own", f.Own)
	for i, g := range f.Above {
		d.group(line, "above "+strconv.Itoa(i+1), g)
	}
	line("strangers", strconv.Itoa(f.Strangers))
	if f.Kept != nil {
		line("kept", "id "+strconv.FormatUint(f.Kept.ID, 10)+" leaf "+cgroup.Quote(f.Kept.Leaf)+" shared "+strconv.Itoa(f.Kept.Holder)+" at "+cgroup.Quote(f.Kept.Room))
	}
	line("cpu limit", d.Limits.CPU)
	line("memory limit", d.Limits.Memory)
	line("pids limit", d.Limits.PIDs)
	line("memory.oom.group", d.Limits.OOMGroup)
	d.leafLines(line)
	line("cgroup not readable", f.Unreadable)
	for _, err := range f.Errors {
		line("not readable", err)
	}
	return b.String()
}

func (d *diagnosis) group(line func(key, value string), name string, g *cgroup.Group) {
	if g == nil {
		return
	}
	kind := g.Type
	if g.Root {
		kind = "real root"
	}
	line(name+" cgroup", g.Path+" id "+strconv.FormatUint(g.ID, 10)+" type "+kind+
		" owner "+strconv.Itoa(g.Owner)+" group "+strconv.Itoa(g.Group)+" mode "+strconv.FormatUint(uint64(g.Mode), 8)+" writable "+yesNo(g.Writable))
	line(name+" controllers", strings.Join(g.Controllers, " "))
	line(name+" subtree_control", strings.Join(g.Enabled, " "))
	line(name+" limits", "depth "+orUnknown(g.MaxDepth)+", descendants "+orUnknown(g.MaxDescendants))
	line(name+" processes", strconv.Itoa(g.Processes)+", of other PID namespaces "+strconv.Itoa(g.Foreign)+"; "+strings.Join(g.Remaining(8), ", "))
	line(name+" procs error", g.ProcsErr)
}

func mount(m *cgroup.Mount) string {
	return m.Type + " " + m.Source + " " + m.Root + " on " + m.Point + " " + strings.Join(m.Options, ",") + " " + strings.Join(m.Propagates, " ") +
		" super " + m.Super + " id " + strconv.Itoa(m.ID) + " parent " + strconv.Itoa(m.Parent)
}

// printable escapes the characters that a terminal would not print.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		s = strconv.Quote(s)
		return s[1 : len(s)-1]
	}
	return s
}

func numbers(list []int) string {
	var words []string
	for _, n := range list {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, " ")
}

func namespace(inode uint64) string {
	if inode == 0 {
		return "unknown"
	}
	return strconv.FormatUint(inode, 10)
}

func cgroupNamespace(inode uint64) string {
	switch inode {
	case 0:
		return namespace(inode)
	case cgroup.InitialCgroupNamespace:
		return namespace(inode) + " (the host's)"
	}
	return namespace(inode) + " (own)"
}

func userNamespace(f *cgroup.Facts) string {
	switch {
	case f.IDMap == "":
		return "unknown"
	case f.InitialUserNS:
		return "initial"
	}
	return "own"
}

func onTheHost(f *cgroup.Facts) string {
	if f.HostUnseen {
		return "perhaps"
	}
	return yesNo(f.OnHost)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
