package cgroup

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// hints say what to change, by call and errno; "" and 0 match all. A call is the
// operation, and after a blank the end of the path, or all of it and how the data
// begins. The first row that matches counts. What the errnos mean is in the man page
// of the call, for cgroup files in the kernel document.
var hints = []struct {
	call string
	err  unix.Errno
	hint string
}{
	{"unshare", unix.EPERM, forbidden},
	{"unshare", unix.EINVAL, noNamespaces},
	{"unshare", unix.ENOSPC, "the limit of cgroup namespaces is reached: raise the node's sysctl user.max_cgroup_namespaces"},
	{"open /ns/cgroup", unix.ENOENT, noNamespaces},
	{"open /ns/cgroup", unix.EACCES, "PID 1 may not be inspected: run as the same user with CAP_SYS_PTRACE, or as PID 1"},
	{"setns", unix.EXDEV, "PID 1 is not this container's (host PID namespace): make this program the container's PID 1"},
	{"setns " + ownNamespace, unix.EPERM, "the cgroup namespace belongs to another user namespace, and there would be no way back into it: have the runtime make a private one (docker and podman --cgroupns=private)"},
	{"setns", unix.EPERM, forbidden},
	{"mkdir " + keptDir, 0, unkept},
	{"open " + keptCgroup, 0, unkept},
	{"write " + keptCgroup, 0, unkept},
	{"open " + keptNamespace + " O_CREAT", 0, unkept},
	{"mount " + keptNamespace, 0, unkept},
	{"open " + keptNamespace, 0, notKept},
	{"setns " + keptNamespace, 0, notKept},
	{"flock", 0, "another run of cgshim in this container is at its set-up: raise --cgroup-timeout"},

	{"fsopen", unix.ENODEV, noCgroup2},
	{"mount", unix.ENODEV, noCgroup2},
	{"mount", unix.EPERM, forbidden},
	{"mount", unix.EACCES, securityModule},
	{"remount", unix.EACCES, securityModule},
	{"remount", 0, writable},
	{"mount", unix.ENOSPC, manyMounts},
	{"move_mount", unix.ENOSPC, manyMounts},
	{"mount", unix.ENOENT, "mount sysfs on /sys, as container runtimes do"},
	{"move_mount", unix.ENOENT, "mount sysfs on /sys, as container runtimes do"},
	{"move_mount", 0, otherMounts},
	{"mount", unix.EBUSY, otherMounts},
	{"mount", unix.EINVAL, otherMounts},
	{"fsconfig", 0, otherMounts},

	{"mkdir", unix.EROFS, writable},
	{"open", unix.EROFS, writable},
	{"mkdir", unix.EACCES, notDelegated},
	{"mkdir", unix.EPERM, notDelegated},
	{"open cgroup.procs", unix.EACCES, notDelegated},
	{"open " + subtreeControl, unix.EACCES, notDelegated},
	{"mkdir", unix.EAGAIN, "a limit is reached: see cgroup.max.descendants and cgroup.max.depth of the cgroups above"},
	{"mkdir", unix.ENOSPC, manyCgroups},
	{"mkdir", unix.ENOMEM, manyCgroups},
	{"open", unix.ENOTDIR, otherLeaf},
	{"open cgroup.type", unix.ENOENT, "this is the root of the whole hierarchy, which is never changed"},
	{"read /cgroup.type", unix.EOPNOTSUPP, "the leaf is in threaded mode: remove it, or choose another with --cgroup-leaf"},
	{"read", unix.EOPNOTSUPP, "the container's cgroup is threaded: its runtime has to create it as a domain"},
	{"read", unix.ENODEV, "the cgroup was removed by somebody outside, such as systemd: look for two managers of one cgroup"},

	{"write " + subtreeControl + " -", unix.EBUSY, "a cgroup below the container's uses controllers that were enabled in threaded mode: remove that cgroup, or recreate the container"},
	{"write " + subtreeControl, unix.EBUSY, "processes keep entering the container's own cgroup (kubectl exec, probes): stop them or raise --cgroup-timeout; " +
		"a process that shows as 0 was put there from outside the PID namespace"},
	{"write " + subtreeControl, unix.EOPNOTSUPP, "the cgroup is in threaded mode: some process enabled controllers one by one before; recreate the container"},
	// The kernel document, "CPU": with RT_GROUP_SCHED no real-time process may be below.
	{"write " + subtreeControl, unix.EINVAL, "a controller refuses: for cpu, real-time processes on a kernel with RT_GROUP_SCHED do that"},
	{"write " + subtreeControl, unix.ENOENT, "a controller is not enabled in the cgroup above"},
	{"write " + subtreeControl, unix.ENOSPC, manyCgroups},
	{"write " + subtreeControl, unix.ENOMEM, manyCgroups},
	{"write cgroup.procs", unix.EBUSY, "the leaf has controllers enabled for cgroups below it: remove them, or choose another leaf with --cgroup-leaf"},
	{"write cgroup.procs", unix.ENOENT, "the leaf is outside the cgroup namespace (nsdelegate)"},
	{"write cgroup.procs", unix.EOPNOTSUPP, otherLeaf},
	{"write cgroup.procs", unix.EAGAIN, manyCgroups},
	{"write cgroup.procs", 0, notDelegated},
	{"write", unix.EACCES, notDelegated},
	{"write", unix.EPERM, notDelegated},

	{"open memory.oom.group", 0, "--oom-group needs the memory controller, enabled for the container's cgroup by its runtime, and Linux 4.19"},
	{"inotify_init1", unix.EMFILE, "the limit of inotify instances is reached: raise the node's sysctl fs.inotify.max_user_instances"},
	{"inotify_add_watch", unix.ENOSPC, "the limit of inotify watches is reached: raise the node's sysctl fs.inotify.max_user_watches"},
	{"statx", unix.ESTALE, "another cgroup is mounted on /sys/fs/cgroup meanwhile: start without what mounts it"},

	{"", unix.EMFILE, "raise the limit of open files: docker --ulimit nofile, Kubernetes: LimitNOFILE of the runtime's unit"},
	{"", unix.ENFILE, "the node has no file descriptors left: raise its sysctl fs.file-max"},
	{"", unix.ENOMEM, "the node or the container has no memory left: raise the container's memory limit"},
}

const (
	privileged = "needs CAP_SYS_ADMIN: docker or podman run --privileged, Kubernetes securityContext.privileged; or a private cgroup namespace with a writable mount: docker --security-opt writable-cgroups=true, podman --security-opt unmask=/sys/fs/cgroup, containerd cgroup_writable"
	writable   = "mount /sys/fs/cgroup writable: docker run --privileged or --security-opt writable-cgroups=true (28.0), podman run --security-opt unmask=/sys/fs/cgroup, " +
		"containerd cgroup_writable (2.1), CRI-O annotation io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw"
	userNamespace = "Kubernetes gives privileged pods the host's cgroup namespace even with hostUsers: false; drop privileged and use containerd cgroup_writable or CRI-O cgroup2-mount-hierarchy-rw"
	notDelegated  = "the cgroup is not delegated to this user namespace: " + userNamespace

	entryPoint = "make cgshim the container's entry point (exec it from a script), or ask for the set-up in any process: --cgroup=require, or --cgroup=auto with --exec"

	securityModule = "a security module refuses the mount: see the audit log; AppArmor: docker --security-opt apparmor=unconfined, Kubernetes appArmorProfile Unconfined; SELinux: --security-opt label=disable, seLinuxOptions type spc_t"
	forbidden      = "refused although there is CAP_SYS_ADMIN: by a seccomp profile (docker --security-opt seccomp=unconfined, Kubernetes seccompProfile Unconfined), a security module, or because the mount belongs to an outer user namespace"
	unkept         = "a later run by --exec in this container may not find this one's cgroup namespace and nest one deeper: make /run writable"
	notKept        = "this process stays in the host's cgroup namespace: the run that has delegated could not keep its own in /run/cgshim, and none of its processes is left; make /run writable and restart the container"
	noNamespaces   = "the kernel has no cgroup namespaces (Linux 4.6, CONFIG_CGROUPS), or /proc is not mounted"
	noCgroup2      = "the kernel has no cgroup v2 (Linux 4.5, CONFIG_CGROUPS)"
	manyMounts     = "the limit of mounts is reached: raise the node's sysctl fs.mount-max"
	otherMounts    = "/sys/fs/cgroup is mounted in a way that does not allow to replace it: start without -v or --mount below /sys"
	manyCgroups    = "the node is out of memory or of memory cgroup ids (65535): look for leaked cgroups, nr_dying_descendants in its cgroup.stat"
	otherLeaf      = "the leaf cannot take processes: remove what has its name, or choose another with --cgroup-leaf"
)

// Hint says what to change about err, or is "".
func Hint(err error) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Hint
	}
	e := asError(err)
	if e == nil {
		return ""
	}
	for _, row := range hints {
		op, path, _ := strings.Cut(row.call, " ")
		found := strings.HasSuffix(e.Path, path) || strings.HasPrefix(e.Path+" "+e.Data, path)
		if found && (op == "" || op == e.Op) && (row.err == 0 || errors.Is(e.Err, row.err)) {
			return row.hint
		}
	}
	return ""
}
