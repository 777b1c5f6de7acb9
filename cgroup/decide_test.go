package cgroup

import (
	"strings"
	"testing"
	"time"
)

// container is an ordinary privileged container on a v2 host with a private cgroup
// namespace; the cases below say what is different.
func container(changes ...func(*Facts)) *Facts {
	f := &Facts{
		PID: 1, InitialUserNS: true, SysAdmin: true, CgroupNS: 4026532500, PIDNS: 4026532501, Unified: "/",
		Mount: &Mount{ID: 30, Parent: 26, Root: "/", Point: mountPoint, Options: []string{"rw", "nosuid"}, Type: "cgroup2"},
		Own:   &Group{Path: mountPoint, ID: 7, Type: "domain", Controllers: []string{"cpu", "memory", "pids"}, Processes: 2, Writable: true},
	}
	for _, change := range changes {
		change(f)
	}
	return f
}

func hostView(f *Facts) {
	f.CgroupNS = InitialCgroupNamespace
	f.Unified = "/kubepods/pod1/ctr"
	f.Own.Path = mountPoint + f.Unified
	f.Above = &Group{Path: mountPoint + "/kubepods/pod1", Type: "domain", Controllers: []string{"cpu"}, Enabled: []string{"cpu"}}
}

func nested(leaf string) func(*Facts) {
	return func(f *Facts) {
		f.Unified = "/" + leaf
		f.Above, f.Own = f.Own, &Group{Path: mountPoint + "/" + leaf, Type: "domain", Writable: true}
		f.Above.Enabled, f.Above.Processes = f.Above.Controllers, 0
	}
}

func v1Mount(f *Facts) {
	f.Mount = &Mount{Root: "/", Point: mountPoint, Type: "tmpfs"}
	f.Own, f.V1 = nil, []string{"cpu", "memory"}
}

func unprivileged(f *Facts) { f.SysAdmin = false }

func readOnly(f *Facts) {
	f.Mount.Options = []string{"ro", "nosuid", "nodev", "noexec", "relatime"}
	f.Own.Writable = false
}

func undelegated(f *Facts) {
	f.InitialUserNS, f.Own.Writable, f.Own.Owner, f.Own.Mode = false, false, 65534, 0o555
}

const (
	evacuateAndEnable = `mkdir -p init; grep -vx 0 cgroup.procs | xargs -rn1 >init/cgroup.procs
until echo "+cpu +memory +pids" >cgroup.subtree_control; do evacuate; done`
	remount = "unshare --cgroup\nmount -t cgroup2 cgroup2 $(mktemp -d)\n"
	replace = "\nmount --beneath --move $DIR /sys/fs/cgroup; umount -l /sys/fs/cgroup"
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts *Facts
		state State
		steps string // "" with a state that is skipped
	}{
		// What kind of hierarchy.
		{"private namespace, as docker gives", container(), Private, "cd /sys/fs/cgroup\n" + evacuateAndEnable},
		{"host namespace, as Kubernetes gives privileged pods", container(hostView), HostView, remount + evacuateAndEnable + replace},
		{"host namespace of a host that is itself a container", container(hostView, func(f *Facts) { f.CgroupNS = 4026532999 }), HostView, remount + evacuateAndEnable + replace},
		{
			"unshared, not remounted", container(func(f *Facts) { f.Mount.Root, f.Own = "/../../..", nil }), HostView,
			strings.TrimPrefix(remount, "unshare --cgroup\n") + strings.ReplaceAll(evacuateAndEnable, "+cpu +memory +pids", "") + replace,
		},
		{
			"mount of the own cgroup in the host's namespace, as for an exec by runc", container(hostView, func(f *Facts) { f.Mount.Root, f.Own.Path, f.Above = f.Unified, mountPoint, nil }), HostView,
			"unshare --cgroup\ncd /sys/fs/cgroup\n" + evacuateAndEnable,
		},
		{"real root cgroup", container(func(f *Facts) { f.Own.Root = true }), RealRoot, ""},
		{"on the host", container(func(f *Facts) { f.OnHost = true }), Host, ""},
		{"already delegated", container(nested("init")), Delegated, ""},
		{"already delegated by systemd or sysbox", container(nested("init.scope")), Delegated, ""},
		{"already delegated, nothing to enable", container(nested("init"), func(f *Facts) { f.Above.Controllers, f.Above.Enabled = nil, nil }), Delegated, ""},
		{"in a cgroup called init that is not a leaf", container(nested("init"), func(f *Facts) { f.Above.Enabled = nil }), HostView, remount +
			strings.ReplaceAll(evacuateAndEnable, "+cpu +memory +pids", "") + replace},
		{"a container that is called init", container(hostView, func(f *Facts) { f.Unified = "/kubepods/pod1/init"; f.Own.Path = mountPoint + f.Unified }), HostView, remount + evacuateAndEnable + replace},
		{"moved out of the namespace's root", container(func(f *Facts) { f.Unified, f.Own = "/../other", nil }), Outside, ""},
		{"v1", container(v1Mount, func(f *Facts) { f.Unified = "" }), Legacy, ""},
		{"hybrid", container(v1Mount), Hybrid, ""},
		{"gVisor's v1", container(v1Mount, func(f *Facts) { f.Unified = "" }), Legacy, ""},
		{"no cgroups at all", container(func(f *Facts) { f.Mount, f.Own, f.Unified = nil, nil, "" }), Unavailable, ""},
		{"no /proc", container(func(f *Facts) {
			f.Mount, f.Own, f.Unified, f.Errors = nil, nil, "", []string{"open /proc/self/uid_map: no such file or directory"}
		}), Unavailable, ""},
		{"a tmpfs in the way", container(func(f *Facts) { f.Mount = &Mount{Type: "tmpfs"}; f.Own = nil }), Unavailable, ""},
		{"no controllers from above", container(func(f *Facts) { f.Own.Controllers = nil }), Private, "cd /sys/fs/cgroup\n" + strings.ReplaceAll(evacuateAndEnable, "+cpu +memory +pids", "")},
		{
			"not mounted", container(func(f *Facts) { f.Mount, f.Own = nil, nil }), NotMounted,
			strings.TrimPrefix(remount, "unshare --cgroup\n") + strings.ReplaceAll(evacuateAndEnable, "+cpu +memory +pids", "") + "\nmount --move $DIR /sys/fs/cgroup",
		},
		{"not mounted on a v1 host", container(func(f *Facts) { f.Mount, f.Own, f.V1 = nil, nil, []string{"cpu"} }), Hybrid, ""},
		{"a symbolic link", container(func(f *Facts) { f.Symlink = true }), Unavailable, ""},
		{"mounts below", container(hostView, func(f *Facts) { f.SubMounts = []string{mountPoint + "/x"} }), HostView, remount + evacuateAndEnable + "\nmount --move $DIR /sys/fs/cgroup"},
		{"not PID 1", container(func(f *Facts) { f.PID = 7 }), NotInit, ""},

		// Privileges.
		{"no CAP_SYS_ADMIN, writable", container(unprivileged), Private, "cd /sys/fs/cgroup\n" + evacuateAndEnable},
		{"no CAP_SYS_ADMIN, host namespace", container(hostView, unprivileged), Unprivileged, ""},
		{"read-only with CAP_SYS_ADMIN", container(readOnly), Private, "mount -o remount,bind,rw,nosuid,nodev,noexec,relatime /sys/fs/cgroup\ncd /sys/fs/cgroup\n" + evacuateAndEnable},
		{"read-only without", container(readOnly, unprivileged), ReadOnly, ""},
		{"user namespace, not delegated", container(undelegated), Undelegated, ""},
		{"user namespace, host's cgroup namespace", container(hostView, undelegated), Undelegated, ""},
		{"user namespace, delegated", container(func(f *Facts) { f.InitialUserNS = false }), Private, "cd /sys/fs/cgroup\n" + evacuateAndEnable},
		{"another user", container(unprivileged, func(f *Facts) { f.Own.Writable = false }), Undelegated, ""},

		// Types.
		{"threaded", container(func(f *Facts) { f.Own.Type = "threaded" }), Threaded, ""},
		{
			"domain threaded by a half-done attempt", container(func(f *Facts) { f.Own.Type, f.Own.Enabled = "domain threaded", []string{"cpu", "pids"} }), Private,
			"cd /sys/fs/cgroup\necho \"-cpu -pids\" >cgroup.subtree_control\n" + evacuateAndEnable,
		},

		// Propagation.
		{
			"the mount is shared", container(hostView, func(f *Facts) { f.Mount.Propagates = []string{"shared:3"} }), HostView,
			remount + evacuateAndEnable + "\nmount --make-private /sys/fs/cgroup; " + strings.TrimPrefix(replace, "\n"),
		},
		{"the mount that holds it is shared", container(hostView, func(f *Facts) { f.ParentShared = true }), SharedMount, ""},
		{"the mount that holds it is shared, but stays", container(func(f *Facts) { f.ParentShared = true }), Private, "cd /sys/fs/cgroup\n" + evacuateAndEnable},
	} {
		p := Decide(c.facts, Options{Leaf: "init", Timeout: time.Second})
		var steps []string
		for _, step := range p.Steps {
			steps = append(steps, step.String())
		}
		if got := strings.Join(steps, "\n"); p.State != c.state || got != c.steps {
			t.Errorf("%s: %s (%s)\n%s\nwant %s\n%s", c.name, p.State, p.Reason, got, c.state, c.steps)
		}
		if skipped := c.steps == "" && c.state != Delegated; p.Skip != skipped || skipped && p.Reason == "" || p.Actionable && p.Hint == "" {
			t.Errorf("%s: skip %v, reason %q, hint %q", c.name, p.Skip, p.Reason, p.Hint)
		}
	}
}

func TestOptionalSteps(t *testing.T) {
	for name, f := range map[string]*Facts{"new": container(), "delegated": container(nested("shim"))} {
		p := Decide(f, Options{Leaf: "shim", OOMGroup: "0", MirrorCPUMax: true})
		var last []string
		for _, step := range p.Steps[max(0, len(p.Steps)-2):] {
			last = append(last, step.String())
		}
		if got := strings.Join(last, "; "); got != "echo 0 >memory.oom.group; cat cpu.max >shim/cpu.max" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnywhere(t *testing.T) {
	f := container(func(f *Facts) { f.PID = 7 })
	if p := Decide(f, Options{Leaf: "init", Anywhere: true}); p.Skip {
		t.Errorf("%+v", p)
	}
	f.OnHost = true
	if p := Decide(f, Options{Leaf: "init", Anywhere: true}); p.State != Host || !p.Skip {
		t.Errorf("the host is never touched: %+v", p)
	}
}
