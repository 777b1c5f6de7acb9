package shim

import (
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"github.com/cgshim/cgshim/cgroup"
)

// diagnosis is what --check prints.
type diagnosis struct {
	Verdict string        `json:"verdict"`
	State   string        `json:"state"`
	Reason  string        `json:"reason,omitempty"`
	Hint    string        `json:"hint,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
	Steps   []string      `json:"steps"`
	Facts   *cgroup.Facts `json:"facts"`
	Limits  cgroup.Limits `json:"limits"`
}

// Check prints what this environment is and what would be done. It changes
// nothing. The status is 0 if delegation would work or is done, 1 if not.
func Check(config Config, asJSON bool, w io.Writer) int {
	d, plan := diagnoseCgroup(config)
	var err error
	if asJSON {
		err = json.NewEncoder(w).Encode(d)
	} else {
		_, err = io.WriteString(w, d.text())
	}
	if err != nil || plan.Skip {
		return ExitFailure
	}
	return 0
}

func diagnoseCgroup(config Config) (*diagnosis, *cgroup.Plan) {
	d := new(diagnosis)
	d.Facts = cgroup.Observe()
	if d.Facts.PID != 1 && !config.Cgroup.Anywhere {
		// As an exec in a running container: what counts is the container's init.
		// runc leaves an exec in the host's cgroup namespace where the container
		// was started in that, so its own view would mislead.
		if init := cgroup.ObserveInit(); init != nil {
			d.Facts = init
			d.Notes = append(d.Notes, "not PID 1: this is about PID 1; an exec may be in another cgroup namespace than that")
		} else {
			d.Notes = append(d.Notes, "not PID 1, and PID 1 has other mounts: this is about the calling process as if it were PID 1")
			config.Cgroup.Anywhere = true
		}
	}
	plan := cgroup.Decide(d.Facts, config.Cgroup)
	d.State, d.Reason, d.Hint = plan.State.String(), plan.Reason, plan.Hint
	d.Limits = plan.Container.Limits()
	d.Steps = []string{}
	for _, step := range plan.Steps {
		d.Steps = append(d.Steps, step.String())
	}
	switch {
	case plan.Skip:
		d.Verdict = "cgroups will not be delegated"
	case plan.State == cgroup.Delegated:
		d.Verdict = "delegated already: inner containers are created under " + plan.HostPath
	default:
		d.Verdict = "inner containers will be created under " + plan.HostPath
	}
	if config.CgroupMode == CgroupOff {
		d.Notes = append(d.Notes, "--cgroup=off is set: none of this would be done")
	}
	return d, plan
}

func (d *diagnosis) text() string {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString(key + strings.Repeat(" ", max(1, 22-len(key))) + value + "\n")
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
		line("step "+strconv.Itoa(i+1), step)
	}
	f := d.Facts
	line("kernel", f.Kernel)
	line("pid", strconv.Itoa(f.PID))
	line("user namespace", [...]string{"own", "initial"}[index(f.InitialUserNS)])
	line("CAP_SYS_ADMIN", yesNo(f.SysAdmin))
	line("cgroup namespace", strconv.FormatUint(f.CgroupNS, 10)+[...]string{" (own)", " (the host's)"}[index(f.CgroupNS == cgroup.InitialCgroupNamespace)])
	line("cgroup", f.Unified)
	line("v1 hierarchies", strings.Join(f.V1, "; "))
	if m := f.Mount; m != nil {
		line("/sys/fs/cgroup", m.Type+" "+m.Root+" "+strings.Join(m.Options, ",")+" "+strings.Join(m.Propagates, " ")+" super "+m.Super)
	} else {
		line("/sys/fs/cgroup", "not mounted")
	}
	line("mount above shared", yesNo(f.ParentShared))
	line("mounts below", strings.Join(f.SubMounts, " "))
	for _, g := range []struct {
		name  string
		group *cgroup.Group
	}{{"own", f.Own}, {"above", f.Above}} {
		if g.group == nil {
			continue
		}
		kind := g.group.Type
		if g.group.Root {
			kind = "real root"
		}
		line(g.name+" cgroup", g.group.Path+" id "+strconv.FormatUint(g.group.ID, 10)+" type "+kind+
			" owner "+strconv.Itoa(g.group.Owner)+" mode "+strconv.FormatUint(uint64(g.group.Mode), 8)+" writable "+yesNo(g.group.Writable))
		line(g.name+" controllers", strings.Join(g.group.Controllers, " "))
		line(g.name+" subtree_control", strings.Join(g.group.Enabled, " "))
		line(g.name+" processes", strconv.Itoa(g.group.Processes)+", of other PID namespaces "+strconv.Itoa(g.group.Foreign)+"; "+strings.Join(g.group.Remaining(8), ", "))
	}
	line("cpu limit", d.Limits.CPU)
	line("memory limit", d.Limits.Memory)
	line("pids limit", d.Limits.PIDs)
	line("memory.oom.group", d.Limits.OOMGroup)
	for _, err := range f.Errors {
		line("not readable", err)
	}
	return b.String()
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

func yesNo(b bool) string { return [...]string{"no", "yes"}[index(b)] }
