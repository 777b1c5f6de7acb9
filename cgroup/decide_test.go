package cgroup

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// container returns the facts of an ordinary privileged container on a v2 host with a
// private cgroup namespace. Each case below changes some of them.
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
	f.Above = []*Group{
		{Path: mountPoint + "/kubepods/pod1", ID: 6, Type: "domain", Controllers: []string{"cpu"}, Enabled: []string{"cpu"}},
		{Path: mountPoint + "/kubepods", ID: 5, Type: "domain", Controllers: []string{"cpu"}, Enabled: []string{"cpu"}},
		{Path: mountPoint, ID: 1, Root: true, Controllers: []string{"cpu"}, Enabled: []string{"cpu"}},
	}
}

// nested changes the process's cgroup to one below a container's cgroup that is
// delegated.
func nested(leaf string) func(*Facts) {
	return func(f *Facts) {
		f.Own.Enabled, f.Own.Processes = f.Own.Controllers, 0
		for _, name := range strings.Split(leaf, "/") {
			f.Above = slices.Insert(f.Above, 0, f.Own)
			f.Own = &Group{Path: f.Own.Path + "/" + name, ID: f.Own.ID + 1, Type: "domain", Controllers: f.Own.Controllers, Writable: true}
			f.Unified = strings.TrimSuffix(f.Unified, "/") + "/" + name
		}
	}
}

// nothingEnabled is the state after a run of cgshim that was killed half-way.
func nothingEnabled(f *Facts) { f.Above[0].Enabled = nil }

// execed is a process that was started into the running container.
func execed(f *Facts) { f.PID = 9 }

// initIn adds a PID 1 with the same mounts, in a cgroup of the container.
func initIn(path string) func(*Facts) {
	return func(f *Facts) {
		root := "" // the container's cgroup
		if strings.HasPrefix(f.Unified, "/kubepods/pod1/ctr/") {
			root = "/kubepods/pod1/ctr"
		}
		f.Init = root + path
	}
}

// entryPointOf is a process that such a PID 1 has started.
func entryPointOf(path string) func(*Facts) {
	return func(f *Facts) { f.PID, f.Parent, f.Session, f.InitSession, f.Init = 7, 1, 1, 1, path }
}

// podded is a process that was started from outside, while PID 1 belongs to another
// container.
func podded(f *Facts) { f.PID, f.Parent, f.Elsewhere, f.First = 7, 0, true, true }

// strangers adds processes of an outer PID namespace beside the own cgroup.
func strangers(f *Facts) { f.Strangers = 1 }

func kept(id uint64, leaf string) func(*Facts) {
	return func(f *Facts) { f.Kept = &Kept{ID: id, Leaf: leaf} }
}

// mountOfOwn is a mount that was made in the container's cgroup namespace, as a process
// in the host's namespace sees it. The root of the mount is the container's cgroup.
func mountOfOwn(f *Facts) {
	f.CgroupNS = InitialCgroupNamespace
	f.Unified = "/kubepods/pod1/ctr" + strings.TrimSuffix(f.Unified, "/")
	f.Mount.Root = "/kubepods/pod1/ctr"
}

func v1Mount(f *Facts) {
	f.Mount = &Mount{Root: "/", Point: mountPoint, Type: "tmpfs"}
	f.Own, f.V1 = nil, []string{"cpu", "memory"}
}

func unprivileged(f *Facts) { f.SysAdmin = false }

func readOnly(f *Facts) {
	f.Mount.Options = []string{"ro", "nosuid", "nodev", "noexec", "relatime"}
}

func undelegated(f *Facts) {
	f.InitialUserNS, f.Own.Writable, f.Own.Owner, f.Own.Mode = false, false, 65534, 0o555
}

const (
	use               = "use the mount at /sys/fs/cgroup\n"
	evacuateAndEnable = "move every process of the container's cgroup into the leaf init, and make the empty cgroup spare beside it\n" +
		"enable all controllers (cpu memory pids) for inner containers in one write, and move processes that enter meanwhile"
	optional = " (optional)"
	join     = "join the cgroup namespace of PID 1, or the one that an earlier run has kept"
	regain   = join + ", or else move this process back into /sys/fs/cgroup/kubepods/pod1/ctr and make a cgroup namespace there\n"
	noted    = "note the name of the leaf, init, on the container's cgroup"
	record   = noted + optional + "\n"
	keep     = noted + ", and keep the cgroup namespace by a mount in /run/cgshim" + optional + "\n"
	build    = "make a mount of the container's cgroup that no other process sees yet\n"
	unthread = "if the cgroup is threaded, disable cpu, cpuset, pids to make it a domain again\n"
	unshare  = "make a cgroup namespace whose root is the container's cgroup\n"
	remount  = unshare + build
	writably = "make the mount at /sys/fs/cgroup writable\n"
	cover    = "\nput the new mount on /sys/fs/cgroup"
	replace  = "\nput the new mount in the place of the one at /sys/fs/cgroup"
	isolated = "\nmake the mount at /sys/fs/cgroup private, and put the new mount in the place of the one at /sys/fs/cgroup"
)

// withLeaf returns the steps for a leaf of another name.
func withLeaf(leaf, steps string) string {
	return strings.ReplaceAll(strings.ReplaceAll(steps, "init", leaf), "cgroup spare", "cgroup init")
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		name  string
		facts *Facts
		state State
		steps string // "" if the plan is refused
	}{
		// The kind of hierarchy.
		{"private namespace, as docker gives", container(), Private, use + evacuateAndEnable},
		{"host namespace, as Kubernetes gives privileged pods", container(hostView), HostView, remount + record + evacuateAndEnable + replace},
		{"host namespace of a host that is itself a container", container(hostView, func(f *Facts) { f.CgroupNS = 4026532999 }), HostView, remount + record + evacuateAndEnable + replace},
		{
			"unshared, not remounted", container(func(f *Facts) { f.Mount.Root, f.Own = "/../../..", nil }), HostView,
			build + record + unthread + strings.ReplaceAll(evacuateAndEnable, " (cpu memory pids)", "") + replace,
		},
		{
			"mount of the own cgroup in the host's namespace, as for an exec by runc", container(hostView, func(f *Facts) { f.Mount.Root, f.Own.Path, f.Above = f.Unified, mountPoint, nil }), HostView,
			unshare + use + evacuateAndEnable,
		},
		{"real root cgroup, in its namespace", container(func(f *Facts) { f.Own.Root = true }), RealRoot, ""},
		{"real root cgroup, as of a Kata or Firecracker guest", container(func(f *Facts) { f.Own.Root, f.CgroupNS = true, InitialCgroupNamespace }), RealRoot, ""},
		{"on the host", container(func(f *Facts) { f.OnHost = true }), Host, ""},
		{"already delegated", container(nested("init")), Delegated, ""},
		{"already delegated by systemd or sysbox", container(nested("init.scope")), Delegated, ""},
		{"already delegated, nothing to enable", container(nested("init"), func(f *Facts) { f.Above[0].Controllers, f.Above[0].Enabled = nil, nil }), Delegated, ""},
		{"crun's exec, in the namespace of PID 1", container(nested("init"), execed), Delegated, ""},
		{"runc's exec, in the host's namespace", container(nested("init"), execed, mountOfOwn), Delegated, join + optional},
		{"in a leaf of another name, with PID 1", container(nested("payload"), execed, func(f *Facts) { f.Init = f.Unified }), Delegated, ""},
		{"a service in a container with an init", container(hostView, execed, func(f *Facts) { f.Init = "/kubepods/pod1/ctr/init.scope" }), NotOurs, ""},
		{
			"by a supervisor in the host's namespace", container(hostView, execed, func(f *Facts) { f.Init = f.Unified }), HostView,
			remount + keep + evacuateAndEnable + replace,
		},
		{"runc's exec without CAP_SYS_ADMIN", container(nested("init"), execed, mountOfOwn, unprivileged), Delegated, ""},
		{"drained by somebody who enabled nothing", container(nested("init"), nothingEnabled), Interrupted, use + evacuateAndEnable},
		{"not even drained", container(nested("init.scope"), nothingEnabled, func(f *Facts) { f.Above[0].Processes = 3 }), Interrupted, use + withLeaf("init.scope", evacuateAndEnable)},
		{
			"one by one with processes inside", container(nested("init"), func(f *Facts) {
				f.Above[0].Type, f.Above[0].Enabled, f.Above[0].Processes, f.Own.Type = "domain threaded", []string{"pids"}, 1, "domain invalid"
			}), Interrupted, use + unthread + evacuateAndEnable,
		},
		{"not finished, and read-only since", container(nested("init"), nothingEnabled, unprivileged, func(f *Facts) { f.Mount.Options = []string{"ro"} }), ReadOnly, ""},
		{"in the leaf of the real root, as a systemd host", container(hostView, nested("init.scope"), func(f *Facts) { f.Above[0].Root = true }), HostView, remount + record + evacuateAndEnable + replace},
		{"in the leaf of the real root, which the mount shows", container(func(f *Facts) {
			f.CgroupNS, f.Unified, f.Own.Path = InitialCgroupNamespace, "/init.scope", mountPoint+"/init.scope"
			f.Above = []*Group{{Path: mountPoint, ID: 1, Root: true, Controllers: []string{"cpu"}, Enabled: []string{"cpu"}}}
		}), HostView, remount + record + evacuateAndEnable + replace},
		{"a container that is called init", container(hostView, func(f *Facts) { f.Unified = "/kubepods/pod1/init"; f.Own.Path = mountPoint + f.Unified }), HostView, remount + record + evacuateAndEnable + replace},
		{"moved out of the namespace's root", container(func(f *Facts) { f.Unified, f.Own = "/../other", nil }), Outside, ""},
		{"v1", container(v1Mount, func(f *Facts) { f.Unified = "" }), Legacy, ""},
		{"hybrid, old WSL2", container(v1Mount), Hybrid, ""},
		{"a v1 hierarchy of its own beside v2, as VPN clients mount net_cls", container(func(f *Facts) { f.V1 = []string{"net_cls"} }), Private, use + evacuateAndEnable},
		{"gVisor's v1", container(v1Mount, func(f *Facts) { f.Unified = "" }), Legacy, ""},
		{"no cgroups at all", container(func(f *Facts) { f.Mount, f.Own, f.Unified = nil, nil, "" }), Absent, ""},
		{"no /proc", container(func(f *Facts) {
			f.Mount, f.Own, f.Unified, f.Unreadable = nil, nil, "", "open /proc/self/cgroup: x"
		}), Unavailable, ""},
		{"no /sys", container(func(f *Facts) { f.Mount, f.Own, f.Missing = nil, nil, true }), Unavailable, ""},
		{"no /sys on a v1 host", container(v1Mount, func(f *Facts) { f.Mount, f.Missing, f.Unified = nil, true, "" }), Legacy, ""},
		{"a tmpfs in the way", container(func(f *Facts) { f.Mount = &Mount{Type: "tmpfs"}; f.Own = nil }), Unavailable, ""},
		{"no controllers from above", container(func(f *Facts) { f.Own.Controllers = nil }), Private, use + strings.ReplaceAll(evacuateAndEnable, " (cpu memory pids)", "")},
		{
			"not mounted", container(func(f *Facts) { f.Mount, f.Own = nil, nil }), NotMounted,
			build + record + unthread + strings.ReplaceAll(evacuateAndEnable, " (cpu memory pids)", "") + cover,
		},
		{
			"not mounted, in the host's namespace", container(hostView, func(f *Facts) { f.Mount, f.Own, f.Above = nil, nil, nil }), NotMounted,
			remount + record + unthread + strings.ReplaceAll(evacuateAndEnable, " (cpu memory pids)", "") + cover,
		},
		{"not mounted, in the real root", container(func(f *Facts) { f.Mount, f.Own, f.CgroupNS = nil, nil, InitialCgroupNamespace }), RealRoot, ""},
		{"not mounted, without CAP_SYS_ADMIN", container(unprivileged, func(f *Facts) { f.Mount, f.Own = nil, nil }), Unprivileged, ""},
		{"the own cgroup is hidden by another mount", container(func(f *Facts) { f.Own = nil }), Hidden, ""},
		{"not mounted on a v1 host", container(func(f *Facts) { f.Mount, f.Own, f.V1 = nil, nil, []string{"cpu"} }), Hybrid, ""},
		{"a symbolic link", container(func(f *Facts) { f.Symlink = true }), Unavailable, ""},
		{"mounts below", container(hostView, func(f *Facts) { f.SubMounts = []string{mountPoint + "/x"} }), HostView, remount + record + evacuateAndEnable + cover},

		// The place of the container's cgroup.
		{"k3s after -x, which moves deeper", container(nested("init/init")), Delegated, ""},
		{"systemd after -x", container(nested("init/init.scope")), Delegated, ""},
		{"an exec beside k3s after -x, by runc", container(nested("init/init"), execed, mountOfOwn, initIn("/init/init")), Delegated, join + optional},
		{"an exec beside systemd after -x", container(nested("init"), execed, initIn("/init/init.scope")), Delegated, ""},
		{"a service of systemd after -x", container(nested("init/system.slice/docker.service"), execed, initIn("/init/init.scope")), Delegated, ""},
		{"a service in a container of systemd's", container(nested("system.slice/docker.service"), execed, initIn("/init.scope")), Delegated, ""},
		{"a container in a delegated one, in its cgroup namespace", container(nested("docker/ctr"), strangers), HostView, remount + record + evacuateAndEnable + replace},
		{"one beside the leaf", container(nested("ctr"), strangers), HostView, remount + record + evacuateAndEnable + replace},
		{"one beside the leaf that has the name of a leaf", container(nested("init"), strangers), NotOurs, ""},
		{"one below the leaf, as podman --cgroups=split has it", container(nested("init/libpod-1")), HostView, remount + record + evacuateAndEnable + replace},
		{"one with an init of its own", container(nested("ctr"), execed, strangers, initIn("/ctr")), HostView, remount + keep + evacuateAndEnable + replace},
		{"one with an init of its own, in a pod", container(nested("kubepods/pod1/ctr"), execed, initIn("/kubepods/pod1/ctr")), HostView, remount + keep + evacuateAndEnable + replace},
		{"in a leaf of another name, as an earlier run has kept it", container(nested("payload/deep"), kept(7, "payload")), Delegated, ""},
		{"what was kept is another cgroup's", container(nested("payload"), kept(99, "payload")), HostView, remount + record + evacuateAndEnable + replace},
		{"what was kept is another leaf's", container(nested("payload"), kept(7, "init")), HostView, remount + record + evacuateAndEnable + replace},
		{"killed before it enabled anything", container(hostView, nested("init"), nothingEnabled, execed, initIn("/init")), Interrupted, regain + build + keep + evacuateAndEnable + replace},
		{"killed before it replaced the mount", container(hostView, nested("init"), execed, initIn("/init"), kept(7, "init")), Interrupted, regain + build + keep + evacuateAndEnable + replace},
		{"killed, with a leaf of another name", container(hostView, nested("shim"), nothingEnabled, execed, initIn("/shim"), kept(7, "shim")), Interrupted, withLeaf("shim", regain+build+keep+evacuateAndEnable+replace)},

		{"killed while PID 1 was in the leaf and its supervisor was not", container(hostView, execed, kept(7, "init"), func(f *Facts) { f.Init = f.Unified + "/init" }), Interrupted, regain + build + keep + evacuateAndEnable + replace},
		{"the same, and PID 1 is not yet in the leaf", container(hostView, nested("init"), nothingEnabled, execed, kept(7, "init"), func(f *Facts) { f.Init = "/kubepods/pod1/ctr" }), Interrupted, regain + build + keep + evacuateAndEnable + replace},
		{"killed, and PID 1 elsewhere", container(hostView, execed, kept(7, "init"), func(f *Facts) { f.Init = f.Unified + "/init/deeper" }), NotOurs, ""},
		{"killed after the new mount was put below the old one", container(hostView, nested("init"), execed, initIn("/init"), kept(7, "init"), func(f *Facts) {
			f.Under = &Mount{ID: 31, Root: "/kubepods/pod1/ctr", Point: mountPoint, Type: "cgroup2"}
		}), Interrupted, regain + build + keep + evacuateAndEnable + "\nremove the mount at /sys/fs/cgroup, below which a killed run has put the new mount"},
		{"the same, and the new mount is shared, as the host's may be", container(hostView, nested("init"), execed, initIn("/init"), kept(7, "init"), func(f *Facts) {
			f.Under, f.ParentShared = &Mount{ID: 31, Root: "/kubepods/pod1/ctr", Point: mountPoint, Type: "cgroup2", Propagates: []string{"shared:9"}}, true
		}), Interrupted, regain + build + keep + evacuateAndEnable + cover},
		{"the same, and placeTucked has left it shared", container(hostView, nested("init"), execed, initIn("/init"), kept(7, "init"), func(f *Facts) {
			f.Under, f.ParentShared = &Mount{ID: 31, Root: "/kubepods/pod1/ctr", Point: mountPoint, Type: "cgroup2", Propagates: []string{"shared:9"}}, true
			f.Ground, f.Kept.Holder, f.Kept.Room = &Mount{ID: 26, Point: "/sys"}, 26, mountPoint+"/kubepods/pod1/ctr/init"
		}), Interrupted, regain + build + keep + evacuateAndEnable + "\nremove the mount at /sys/fs/cgroup, below which a killed run has put the new mount"},
		{"killed between the tmpfs and the new mount", container(hostView, kept(7, "init"), func(f *Facts) {
			f.Mount, f.Own, f.Above = &Mount{Point: mountPoint, Type: "tmpfs", Source: "cgshim"}, nil, nil
		}), Interrupted, "remove the tmpfs that a killed run has left at /sys/fs/cgroup"},
		{"in the namespace of a helper that was killed", container(func(f *Facts) { f.Unified, f.Mount.Root, f.Own = "/init", "/../../..", nil }), Interrupted, build + record + unthread + strings.ReplaceAll(evacuateAndEnable, " (cpu memory pids)", "") + replace},

		// The process that acts.
		{"not PID 1", container(func(f *Facts) { f.PID = 7 }), NotInit, ""},
		{"docker run --init", container(entryPointOf("/")), Private, use + evacuateAndEnable},
		{"docker run --init --cgroupns=host", container(hostView, entryPointOf("/kubepods/pod1/ctr")), HostView, remount + keep + evacuateAndEnable + replace},
		{"an init that gives its program a session", container(entryPointOf("/"), func(f *Facts) { f.Session = f.PID }), Private, use + evacuateAndEnable},
		{"again, under a supervisor", container(nested("init"), entryPointOf("/init")), Delegated, ""},
		{"docker run --init, already delegated by the init", container(nested("init"), entryPointOf("/init.scope")), NotInit, ""},
		{"a service of a systemd container", container(nested("system.slice/cgshim.service"), entryPointOf("/init.scope")), NotInit, ""},
		{"an exec", container(entryPointOf("/"), func(f *Facts) { f.Parent, f.Session = 0, f.PID }), NotInit, ""},
		{"a child of an exec's shell", container(entryPointOf("/"), func(f *Facts) { f.Parent, f.Session = 6, 6 }), NotInit, ""},
		{"what a finished exec has left", container(entryPointOf("/"), func(f *Facts) { f.Session = 6 }), NotInit, ""},
		{"a script's program", container(entryPointOf("/"), func(f *Facts) { f.Parent = 2 }), NotInit, ""},
		{"shareProcessNamespace", container(hostView, podded), HostView, remount + keep + evacuateAndEnable + replace},
		{"shareProcessNamespace, an exec", container(hostView, podded, func(f *Facts) { f.First = false }), NotInit, ""},
		{"shareProcessNamespace, a child of the entry point", container(hostView, podded, func(f *Facts) { f.Parent = 6 }), NotInit, ""},
		{"the host's PID namespace", container(hostView, podded, func(f *Facts) { f.Parent, f.PIDNS = 400, initialPIDNamespace }), NotInit, ""},
		{"not PID 1, on a v1 host", container(v1Mount, func(f *Facts) { f.PID = 7 }), Hybrid, ""},

		// Privileges.
		{"no CAP_SYS_ADMIN, writable", container(unprivileged), Private, use + evacuateAndEnable},
		{"no CAP_SYS_ADMIN, host namespace", container(hostView, unprivileged), Unprivileged, ""},
		{"read-only with CAP_SYS_ADMIN", container(readOnly), Private, writably + use + record + evacuateAndEnable},
		{"read-only with CAP_SYS_ADMIN, host namespace", container(hostView, readOnly), HostView, remount + record + evacuateAndEnable + replace},
		{
			"read-only mount of the own cgroup, host namespace", container(hostView, readOnly, func(f *Facts) { f.Mount.Root, f.Own.Path, f.Above = f.Unified, mountPoint, nil }), HostView,
			unshare + writably + use + record + evacuateAndEnable,
		},
		{"read-only without", container(readOnly, unprivileged), ReadOnly, ""},
		{"user namespace, not delegated", container(undelegated), Undelegated, ""},
		{"user namespace, host's cgroup namespace", container(hostView, undelegated), Undelegated, ""},
		{"user namespace, delegated", container(func(f *Facts) { f.InitialUserNS = false }), Private, use + evacuateAndEnable},
		{"another user", container(unprivileged, func(f *Facts) { f.Own.Writable = false }), Undelegated, ""},

		// Types.
		{"threaded", container(func(f *Facts) { f.Own.Type = "threaded" }), Threaded, ""},
		{"below a threaded domain", container(func(f *Facts) { f.Own.Type = "domain invalid" }), Threaded, ""},
		{
			"domain threaded by a half-done attempt", container(func(f *Facts) { f.Own.Type, f.Own.Enabled = "domain threaded", []string{"cpu", "pids"} }), Private,
			use + unthread + evacuateAndEnable,
		},

		// Limits on cgroups.
		{"no cgroup below", container(func(f *Facts) { f.Own.MaxDescendants, f.Own.MaxDepth = "0", "max" }), NoRoom, ""},
		{"the leaf alone", container(func(f *Facts) { f.Own.MaxDescendants = "1" }), NoRoom, ""},
		{"the leaf and the cgroup beside it", container(func(f *Facts) { f.Own.MaxDescendants = "2" }), NoRoom, ""},
		{"the leaf and a container", container(func(f *Facts) { f.Own.MaxDescendants = "3" }), Private, use + evacuateAndEnable},
		{"no level below", container(func(f *Facts) { f.Own.MaxDepth = "0" }), NoRoom, ""},
		{"the leaf's level alone", container(func(f *Facts) { f.Own.MaxDepth = "1" }), NoRoom, ""},
		{"two levels", container(func(f *Facts) { f.Own.MaxDepth, f.Own.MaxDescendants = "2", "max" }), Private, use + evacuateAndEnable},
		{"a limit of the pod", container(hostView, func(f *Facts) { f.Above[0].MaxDescendants = "3" }), NoRoom, ""},
		{"a depth of the pod", container(hostView, func(f *Facts) { f.Above[1].MaxDepth = "3" }), NoRoom, ""},
		{"room in the pod", container(hostView, func(f *Facts) { f.Above[0].MaxDescendants, f.Above[1].MaxDepth = "4", "4" }), HostView, remount + record + evacuateAndEnable + replace},
		{"delegated, and no room since", container(nested("init"), func(f *Facts) { f.Above[0].MaxDescendants, f.Own.MaxDepth = "1", "0" }), Delegated, ""},
		{"a limit of the leaf alone", container(nested("init"), nothingEnabled, func(f *Facts) { f.Own.MaxDepth = "0" }), Interrupted, use + evacuateAndEnable},

		// Propagation.
		{
			"the mount is shared", container(hostView, func(f *Facts) { f.Mount.Propagates = []string{"shared:3"} }), HostView,
			remount + record + evacuateAndEnable + isolated,
		},
		{
			"the mount is a slave", container(hostView, func(f *Facts) { f.Mount.Propagates = []string{"master:3"} }), HostView,
			remount + record + evacuateAndEnable + isolated,
		},
		{"the mount that holds it is shared", container(hostView, func(f *Facts) { f.ParentShared = true }), HostView, remount + record + evacuateAndEnable + cover},
		{
			"both are shared", container(hostView, func(f *Facts) { f.ParentShared, f.Mount.Propagates = true, []string{"shared:3"} }), HostView,
			remount + record + evacuateAndEnable + "\nmake the mount at /sys/fs/cgroup private, and " + strings.TrimPrefix(cover, "\n"),
		},
		{"nothing is mounted, and the mount above is shared", container(hostView, func(f *Facts) { f.Mount, f.Own, f.Above, f.ParentShared = nil, nil, nil, true }), SharedMount, ""},
		{
			"/run is shared too, beside another PID 1", container(hostView, entryPointOf("/kubepods/pod1/ctr"), func(f *Facts) { f.ParentShared, f.SharedRooms = true, rooms }), HostView,
			remount + record + evacuateAndEnable + cover,
		},
		{"the mount that holds it was made shared by a killed run", container(hostView, nested("init"), execed, initIn("/init"), kept(7, "init"), func(f *Facts) {
			f.ParentShared, f.Kept.Holder, f.Ground = true, 26, &Mount{ID: 26, Point: "/sys", Propagates: []string{"shared:1"}}
			f.Kept.Room = mountPoint + "/kubepods/pod1/ctr/init"
			f.SubMounts, f.Own = []string{mountPoint + "/kubepods/pod1/ctr/init"}, nil // the sub-mount covers it
		}), Interrupted, "undo what a killed run has left: remove the mount at /sys/fs/cgroup/kubepods/pod1/ctr/init, and make the mount /sys private"},
		{"a killed run has made another shared", container(hostView, kept(7, "init"), func(f *Facts) {
			f.ParentShared, f.Kept.Holder, f.Ground = true, 25, &Mount{ID: 26, Point: "/sys", Propagates: []string{"shared:1"}}
		}), HostView, remount + record + evacuateAndEnable + cover},
		{"the mount that holds it is shared, but stays", container(func(f *Facts) { f.ParentShared = true }), Private, use + evacuateAndEnable},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := Decide(c.facts, Options{Mirror: MirrorNothing, Anywhere: c.facts.PID == 9})
			var steps []string
			for _, step := range p.Steps {
				steps = append(steps, step.String())
			}
			if got := strings.Join(steps, "\n"); p.State != c.state || got != c.steps {
				t.Errorf("%s: %s (%+v)\n%s\nwant %s\n%s", c.name, p.State, p.Refusal, got, c.state, c.steps)
			}
			if refused := c.steps == "" && c.state != Delegated; (p.Refusal != nil) != refused || refused && (p.Refusal.Reason == "" || p.Refusal.State != p.State) {
				t.Errorf("%s: %+v", c.name, p.Refusal)
			}
		})
	}
}

func TestOptionalSteps(t *testing.T) {
	for name, f := range map[string]*Facts{"new": container(), "delegated": container(nested("shim"))} {
		p := Decide(f, Options{Leaf: "shim", OOMGroup: "0"})
		// A later run could not tell a leaf of this name.
		kept := strings.Replace(noted, "init", "shim", 1) + optional
		if found := slices.ContainsFunc(p.Steps, func(s Step) bool { return s.String() == kept }); found != (name == "new") {
			t.Errorf("%s: the leaf is kept: %v", name, found)
		}
		var last []string
		for _, step := range p.Steps[max(0, len(p.Steps)-2):] {
			last = append(last, step.String())
		}
		if got := strings.Join(last, "; "); got != "write 0 to memory.oom.group of the container's cgroup (optional); "+
			"copy cpu.max, cpu.max.burst, cpu.uclamp.max, cpu.uclamp.min, memory.high, memory.max, memory.swap.max, pids.max, memory.oom.group, io.prio.class of the container's cgroup to the leaf shim, and without memory_recursiveprot memory.min and memory.low (optional)" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAnywhere(t *testing.T) {
	f := container(func(f *Facts) { f.PID = 7 })
	if p := Decide(f, Options{Leaf: "init", Anywhere: true}); p.Refusal != nil {
		t.Errorf("%+v", p)
	}
	f.OnHost = true
	if p := Decide(f, Options{Leaf: "init", Anywhere: true}); p.State != Host || p.Refusal == nil {
		t.Errorf("the host is never touched: %+v", p)
	}
}

func TestDelegatedReportsTheContainersCgroup(t *testing.T) {
	f := container(nested("init.scope"))
	p := Decide(f, Options{Leaf: "shim"})
	report, err := (&Plan{State: p.State, HostPath: p.HostPath, id: p.id, enabled: p.enabled}).apply(&linux)
	if err != nil || report.ID != f.Above[0].ID || !slices.Equal(report.Enabled, f.Above[0].Enabled) || report.HostPath != "/" {
		t.Errorf("%+v, %v", report, err)
	}
	// The existing leaf counts, and not the leaf of the options.
	if got := p.Steps[0].String(); !strings.Contains(got, "to the leaf init.scope") {
		t.Error(got)
	}
}

// Every combination of facts has to satisfy the rules that hold for all of them.
func TestRulesHoldForEveryCombination(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long where the processor is emulated, and depends on no kernel")
	}
	dimensions := [][]func(*Facts){
		{func(*Facts) {}, hostView, nested("init"), func(f *Facts) { nested("init")(f); nothingEnabled(f) }, func(f *Facts) { f.Mount.Root, f.Own = "/../..", nil }, func(f *Facts) { f.Mount, f.Own = nil, nil }, v1Mount},
		{func(*Facts) {}, func(f *Facts) { f.CgroupNS = InitialCgroupNamespace }},
		{func(*Facts) {}, unprivileged},
		{func(*Facts) {}, func(f *Facts) {
			if f.Mount != nil {
				f.Mount.Options = []string{"ro"}
			}
		}},
		{func(*Facts) {}, func(f *Facts) {
			if f.Own != nil {
				f.Own.Writable = false
			}
		}},
		{func(*Facts) {}, func(f *Facts) { f.ParentShared = true }},
		{func(*Facts) {}, func(f *Facts) {
			if f.Mount != nil {
				f.Mount.Propagates = []string{"shared:1"}
			}
		}},
		{func(*Facts) {}, func(f *Facts) { f.SubMounts = []string{mountPoint + "/x"} }},
		{func(*Facts) {}, func(f *Facts) { f.OnHost = true }},
		{func(*Facts) {}, func(f *Facts) { f.PID = 9 }, func(f *Facts) { entryPointOf(f.Unified)(f) }, podded},
		{func(*Facts) {}, kept(7, "init")},
		{func(*Facts) {}, func(f *Facts) { f.InitialUserNS = false }},
		{func(*Facts) {}, func(f *Facts) {
			if f.Own != nil {
				f.Own.Root = true
			}
		}},
		{func(*Facts) {}, func(f *Facts) {
			if f.Own != nil {
				f.Own.Type, f.Own.Enabled = "domain threaded", []string{"pids"}
			}
		}},
	}
	count := 0
	var walk func(changes []func(*Facts), rest [][]func(*Facts))
	walk = func(changes []func(*Facts), rest [][]func(*Facts)) {
		if len(rest) > 0 {
			for _, change := range rest[0] {
				walk(append(changes, change), rest[1:])
			}
			return
		}
		count++
		for _, anywhere := range []bool{false, true} {
			f := container(changes...)
			if broken := brokenRule(f, Decide(f, Options{Leaf: "init", Anywhere: anywhere}), anywhere); broken != "" {
				t.Fatalf("%s: %+v", broken, f)
			}
		}
	}
	walk(nil, dimensions)
	if count < 10000 {
		t.Errorf("only %d combinations", count)
	}
}

// brokenRule returns the rule that a plan breaks.
func brokenRule(f *Facts, p *Plan, anywhere bool) string {
	at := map[string]int{} // position of each kind of step, from 1
	for i, s := range p.Steps {
		kind, _, _ := strings.Cut(strings.TrimPrefix(reflect.TypeOf(s.action).String(), "cgroup."), "Step")
		if at[kind] != 0 {
			return kind + " twice"
		}
		at[kind] = i + 1
		place, ok := s.action.(placeStep)
		switch {
		case ok && !place.isolate && f.Mount != nil && !f.Mount.private():
			return "mounts on a mount that propagates"
		case ok && f.ParentShared && at["settle"] == 0 && (place.replace || place.holder != "" || f.Mount == nil):
			return "removes or mounts where it could reach the host"
		}
	}
	v2 := f.Mount == nil || f.Mount.Type == "cgroup2"
	changes := len(p.Steps) > 0
	switch {
	case p.Refusal != nil && (changes || p.Refusal.Reason == "" || strings.Contains(p.Refusal.Reason, "\n")):
		return "refused with steps, or without a reason of one line"
	case changes && (f.OnHost || f.Own != nil && f.Own.Root || !v2 || f.Symlink || f.Missing && f.Mount == nil):
		return "touches what is not the container's"
	case changes && f.Unified == "/" && f.CgroupNS == InitialCgroupNamespace:
		return "touches the real root"
	case changes && f.PID != 1 && !anywhere && !f.entry():
		return "acts in a process that is no entry point"
	case at["build"] > 0 && at["unshare"]+at["regain"] == 0 && f.CgroupNS == InitialCgroupNamespace:
		return "mounts from the initial cgroup namespace"
	case at["unshare"] > 1+at["settle"] || at["regain"] > 1+at["settle"]:
		return "unshares after something else"
	case at["keep"] > 0 && (at["keep"] < at["build"]+at["open"] || at["keep"] > at["evacuate"]):
		return "keeps what is not known yet, or too late"
	case at["evacuate"] > 0 && (at["build"] > at["evacuate"] || at["build"]+at["open"] == 0):
		return "evacuates before the container's cgroup is opened"
	case at["evacuate"] > at["enable"] || at["unthread"] > at["evacuate"] && at["evacuate"] > 0:
		return "enables what is not drained"
	case at["place"] > 0 && (at["place"] < at["enable"] || at["build"] == 0):
		return "shows what is not finished"
	case at["build"] > 0 != (at["place"] > 0):
		return "builds what it does not place"
	case (at["unshare"] > 0 || at["build"] > 0 || at["writable"] > 0) && !f.SysAdmin:
		return "needs a capability that is not there"
	}
	return ""
}

// Decide finds the mounts in mountinfo alone.
func TestParentOfTheMount(t *testing.T) {
	const root = "25 1 0:23 / / rw shared:1 - ext4 /dev/vda rw\n"
	for _, c := range []struct {
		name, mountinfo string
		parentShared    bool
		sub             int
		ground          string
	}{
		{"on a private sysfs", root + "26 25 0:24 / /sys rw - sysfs sysfs rw\n30 26 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n", false, 0, "/sys"},
		{"on a shared sysfs", root + "26 25 0:24 / /sys rw shared:7 - sysfs sysfs rw\n30 26 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", true, 0, "/sys"},
		{"/sys is no mount", root + "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", true, 0, "/"},
		{"nothing mounted, /sys is no mount", root, true, 0, "/"},
		{"nothing mounted", root + "26 25 0:24 / /sys rw - sysfs sysfs rw\n", false, 0, "/sys"},
		{"on what a chroot hides", "30 26 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", true, 0, ""},
		{"over-mounted", root + "26 25 0:24 / /sys rw shared:7 - sysfs sysfs rw\n30 26 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 30 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", false, 0, "/sys"},
		{"mounts below", root + "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 30 0:9 / /sys/fs/cgroup/a rw - tmpfs x rw\n32 30 0:9 / /sys/fs/cgroup/b rw - tmpfs x rw\n", true, 2, "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := new(Facts)
			(&observation{kernel: &linux, Facts: f}).mounts(c.mountinfo)
			if f.ParentShared != c.parentShared || len(f.SubMounts) != c.sub {
				t.Errorf("%s: shared %v, below %q", c.name, f.ParentShared, f.SubMounts)
			}
			ground := ""
			if f.Ground != nil {
				ground = f.Ground.Point
			}
			if ground != c.ground || f.Holder != nil && f.Holder.Point == mountPoint {
				t.Errorf("%s: on %q", c.name, ground)
			}
		})
	}
}
