package cgroup

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// hints say what the user can change, by call and errno. "" matches every call, and 0
// matches every errno. A call is the operation, a blank, and either the end of the path,
// or the whole path and the beginning of the data. The first row that matches counts.
// The man page of a call has the meaning of its errnos. For cgroup files the kernel
// document has their meaning.
var hints = []struct {
	call string
	err  unix.Errno
	hint string
}{
	{"unshare", unix.EPERM, forbidden},
	{"unshare", unix.EINVAL, noNamespaces},
	{"unshare", unix.ENOSPC, "the limit of cgroup namespaces is reached: raise the sysctl user.max_cgroup_namespaces of the node"},
	{"open /ns/cgroup", unix.ENOENT, noNamespaces},
	{"open /ns/cgroup", unix.EACCES, "this process may not inspect PID 1: run cgshim as PID 1, or as the same user as PID 1 and with CAP_SYS_PTRACE"},
	{"setns", unix.EXDEV, "PID 1 belongs to another container or to the host: give the container a PID namespace of its own, with cgshim as its PID 1"},
	{"setns " + ownNamespace, unix.EPERM, "the cgroup namespace belongs to another user namespace, and this process could not return into it: have the runtime make a private cgroup namespace (docker and podman --cgroupns=private)"},
	{"setns", unix.EPERM, forbidden},
	{"mkdir /cgshim", 0, unkept},
	{"create /cgshim/cgroup", 0, unkept},
	{"mount /cgshim/cgroup", unix.EXDEV, "the mount that holds /run or /dev/shm is shared, so the namespace is not kept there: make cgshim the container's PID 1; otherwise a later run of cgshim --exec in this container may not find the cgroup namespace of this run"},
	{"mount /cgshim/cgroup", 0, unkept},
	{"fsetxattr", 0, unnoted},
	{"open /cgshim", unix.ENOENT, notKept},
	{"open /cgshim/cgroup", 0, notKept},
	{"setns /cgshim/cgroup", 0, notKept},
	{"open /cgshim", 0, otherRoom},
	{"fstat /cgshim", 0, otherRoom},
	{"fstat /cgshim/cgroup", 0, otherRoom},
	{"flock /run/cgshim " + heldOutside, 0, otherHolder},
	{"flock /dev/shm/cgshim " + heldOutside, 0, otherHolder},
	{"flock", 0, "another run of cgshim in this container is still setting up: raise --cgroup-timeout, or end the process that the message names"},

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
	{"mkdir", unix.EAGAIN, "a limit is reached: raise cgroup.max.descendants or cgroup.max.depth of the cgroups above"},
	{"mkdir", unix.ENOSPC, manyCgroups},
	{"mkdir", unix.ENOMEM, manyCgroups},
	{"open", unix.ENOTDIR, otherLeaf},
	{"open cgroup.type", unix.ENOENT, "this is the root of the whole hierarchy, and cgshim never changes that: start it in a container"},
	{"read /cgroup.type", unix.EOPNOTSUPP, "the leaf is threaded: remove it, or choose another leaf with --cgroup-leaf"},
	{"read", unix.EOPNOTSUPP, "the container's cgroup is threaded: let the runtime create it as a domain"},
	{"read", unix.ENODEV, "a program outside of the container has removed the cgroup, systemd perhaps: let only one program manage it"},

	{"write " + subtreeControl + " -", unix.EBUSY, "a cgroup below the container's uses controllers that were enabled in threaded mode: remove that cgroup, or recreate the container"},
	{"write " + subtreeControl, unix.EBUSY, "processes keep entering the container's own cgroup (kubectl exec, probes): stop them, or raise --cgroup-timeout; " +
		"a program outside of the PID namespace has put the processes that show as 0 there"},
	{"write " + subtreeControl, unix.EOPNOTSUPP, "the cgroup is threaded, because a program has enabled controllers one by one: recreate the container"},
	// With RT_GROUP_SCHED the cgroup may contain no real-time process (the kernel
	// document, "CPU").
	{"write " + subtreeControl, unix.EINVAL, "the kernel refuses the controller: if the controller is cpu, end the real-time processes of the cgroup, or use a kernel without RT_GROUP_SCHED"},
	{"write " + subtreeControl, unix.ENOENT, "the cgroup above does not enable this controller: let the runtime enable it"},
	{"write " + subtreeControl, unix.ENOSPC, manyCgroups},
	{"write " + subtreeControl, unix.ENOMEM, manyCgroups},
	{"write cgroup.procs", unix.EBUSY, "the leaf enables controllers for the cgroups below it: disable them, or choose another leaf with --cgroup-leaf"},
	{"write cgroup.procs", unix.ENOENT, "the leaf is outside of the cgroup namespace (nsdelegate): start cgshim with the container, not by an exec"},
	{"write cgroup.procs", unix.EOPNOTSUPP, otherLeaf},
	{"write cgroup.procs", unix.EAGAIN, manyCgroups},
	{"write cgroup.procs", 0, notDelegated},
	{"write", unix.EACCES, notDelegated},
	{"write", unix.EPERM, notDelegated},

	{"open memory.oom.group", 0, "--oom-group needs Linux 4.19 and the memory controller: let the runtime enable it for the container's cgroup"},
	{"inotify_init1", unix.EMFILE, "the limit of inotify instances is reached: raise the sysctl fs.inotify.max_user_instances of the node"},
	{"inotify_add_watch", unix.ENOSPC, "the limit of inotify watches is reached: raise the sysctl fs.inotify.max_user_watches of the node"},
	{"fstat", unix.ESTALE, "another program has mounted another cgroup on /sys/fs/cgroup: start the container without that program"},

	{"sched_setaffinity", unix.EPERM, "the kernel has reset the CPU affinity of another user's process (before Linux 6.2): give the container CAP_SYS_NICE"},

	{"", unix.EMFILE, "the limit of open files is reached: raise it (docker --ulimit nofile, in Kubernetes LimitNOFILE in the unit of the runtime)"},
	{"", unix.ENFILE, "the node has no file descriptors left: raise the sysctl fs.file-max of the node"},
	{"", unix.ENOMEM, "the node or the container has no memory left: raise the container's memory limit"},
}

const (
	privileged = "run privileged (docker or podman run --privileged, Kubernetes securityContext.privileged), or with a private cgroup namespace and a writable mount: docker --security-opt writable-cgroups=true, podman --security-opt unmask=/sys/fs/cgroup, containerd cgroup_writable"
	writable   = "mount /sys/fs/cgroup writable: docker run --privileged or --security-opt writable-cgroups=true (28.0), podman run --security-opt unmask=/sys/fs/cgroup, " +
		"containerd cgroup_writable (2.1), CRI-O annotation io.kubernetes.cri-o.cgroup2-mount-hierarchy-rw"
	userNamespace = "run without privileged, and use containerd cgroup_writable or CRI-O cgroup2-mount-hierarchy-rw, because Kubernetes gives a privileged pod the host's cgroup namespace even with hostUsers: false"
	notDelegated  = "the cgroup is not delegated to this user namespace: " + userNamespace

	entryPoint = "make cgshim the container's entry point (a script has to exec it), or set --cgroup=require, or --cgroup=auto with --exec"

	securityModule = "a security module refuses the mount, and the audit log says which: with AppArmor use docker --security-opt apparmor=unconfined or Kubernetes appArmorProfile Unconfined, with SELinux --security-opt label=disable or seLinuxOptions type spc_t"
	forbidden      = "CAP_SYS_ADMIN is there, but a seccomp profile, a security module or an outer user namespace that owns the mount refuses: try docker --security-opt seccomp=unconfined, Kubernetes seccompProfile Unconfined"
	unkept         = "make /run or /dev/shm writable: a later run of cgshim --exec in this container may not find the cgroup namespace of this run, and may start its program without it"
	unnoted        = "the name of the leaf could not be noted on the cgroup: a later run of cgshim in this container may not know the leaf"
	notKept        = "this process stays in the host's cgroup namespace: the run of cgshim that delegated could not keep its namespace in /run/cgshim, and its processes have ended; make /run writable, and restart the container"
	otherRoom      = "cgshim ignores what is in the place of its directory, which has to belong to its user with mode 0700: remove it, and find out which processes may write to the directory above"
	otherHolder    = "cgshim does not wait for a process of another container: do not share the volume at /run or /dev/shm with it"
	noNamespaces   = "the kernel has no cgroup namespaces (Linux 4.6, CONFIG_CGROUPS), or /proc is not mounted"
	noCgroup2      = "the kernel has no cgroup v2 (Linux 4.5, CONFIG_CGROUPS)"
	manyMounts     = "the limit of mounts is reached: raise the sysctl fs.mount-max of the node"
	otherMounts    = "cgshim cannot replace this mount of /sys/fs/cgroup: start the container without -v or --mount below /sys"
	manyCgroups    = "the node has no memory or no memory cgroup ids (65535) left: look for leaked cgroups (nr_dying_descendants in the node's cgroup.stat)"
	otherLeaf      = "the leaf cannot take processes: remove the file or cgroup of that name, or choose another leaf with --cgroup-leaf"
)

// Hint says what the user can change about err. It is "" if nothing is known.
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
