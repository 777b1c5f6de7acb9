package cgroup

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// hints say what to change, by operation, the end of the path and errno; "" and
// nil match all. The first row that matches counts.
var hints = []struct {
	op, path string
	err      error
	hint     string
}{
	// unshare(2), cgroup_namespaces(7): CAP_SYS_ADMIN.
	{"unshare", "", unix.EPERM, privileged},
	{"unshare", "", unix.EINVAL, "the kernel has no cgroup namespaces (Linux 4.6, CONFIG_CGROUPS)"},
	{"fsmount", "", unix.EPERM, privileged},
	{"mount", "", unix.EPERM, privileged},
	{"mount", "", unix.EACCES, "a security module refuses the mount: see the audit log; AppArmor: --security-opt apparmor=unconfined"},
	{"mkdir", "", unix.EROFS, writable},
	{"open", "", unix.EROFS, writable},
	{"mkdir", "", unix.EACCES, "the cgroup is not delegated to this user namespace: " + userNamespace},
	{"open", "cgroup.procs", unix.EACCES, "the cgroup is not delegated to this user namespace: " + userNamespace},
	{"mkdir", "", unix.EAGAIN, "a limit is reached: see cgroup.max.descendants and cgroup.max.depth of the cgroups above"},
	{"mkdir", "", unix.ENOMEM, "the kernel is out of memory or of memory cgroup ids: look for leaked cgroups on the node"},
	{"write", "cgroup.subtree_control", unix.EBUSY, "processes keep entering the container's own cgroup (kubectl exec, probes): stop them or raise --cgroup-timeout; " +
		"a process that shows as 0 was put there from outside the PID namespace"},
	{"write", "cgroup.subtree_control", unix.EOPNOTSUPP, "the cgroup is in threaded mode: some process enabled controllers one by one before; recreate the container"},
	{"read", "/cgroup.type", unix.EOPNOTSUPP, "the leaf is in threaded mode: remove it, or choose another with --cgroup-leaf"},
	{"read", "cgroup.procs", unix.EOPNOTSUPP, "the container's cgroup is threaded: its runtime has to create it as a domain"},
	// The kernel document, "CPU": with RT_GROUP_SCHED no real-time process may be below.
	{"write", "cgroup.subtree_control", unix.EINVAL, "a controller refuses: for cpu, real-time processes on a kernel with RT_GROUP_SCHED do that"},
	{"write", "cgroup.subtree_control", unix.ENOENT, "a controller is not enabled in the cgroup above"},
	{"write", "cgroup.procs", unix.ENOENT, "the leaf is outside the cgroup namespace (nsdelegate)"},
}

const (
	privileged    = "needs CAP_SYS_ADMIN: docker run --privileged, Kubernetes securityContext.privileged, or a private cgroup namespace with a writable mount (docker --security-opt writable-cgroups=true, containerd cgroup_writable)"
	writable      = "mount /sys/fs/cgroup writable: docker run --privileged or --security-opt writable-cgroups=true (28.0), containerd cgroup_writable (2.1), CRI-O annotation io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw"
	userNamespace = "Kubernetes gives privileged pods the host's cgroup namespace even with hostUsers: false; drop privileged and use containerd cgroup_writable or CRI-O cgroup2-mount-hierarchy-rw"
)

// Hint says what to change about err, or is "".
func Hint(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return ""
	}
	for _, row := range hints {
		if row.op == e.Op && strings.HasSuffix(e.Path, row.path) && errors.Is(e.Err, row.err) {
			return row.hint
		}
	}
	return ""
}
