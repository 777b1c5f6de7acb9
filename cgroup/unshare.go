package cgroup

import "golang.org/x/sys/unix"

// unshareStep makes the current cgroup the root of a new cgroup namespace. It
// comes before anything is moved, for the root is the cgroup at the time of the
// call (cgroup_namespaces(7)), and before anything is mounted: a cgroup2 mounted
// from the initial namespace without options would take nsdelegate and
// memory_recursiveprot from the whole host (kernel/cgroup/cgroup.c,
// apply_cgroup_root_flags; seen on 5.10 to 7.2).
type unshareStep struct{}

func (unshareStep) String() string { return "unshare --cgroup" }

func (unshareStep) do(r *run) error {
	old, err := r.openNamespace(ownNamespace)
	if err != nil {
		return err
	}
	// There is no way back into a namespace of another user namespace (setns(2)). The
	// kernel asks that before it sees that this one is our own.
	if err := r.k.setns(old, unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "setns", Path: ownNamespace, Err: err}
	}
	if err := r.k.unshare(unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "unshare", Path: "CLONE_NEWCGROUP", Err: err}
	}
	r.onFailure(func() error {
		if err := r.k.setns(old, unix.CLONE_NEWCGROUP); err != nil {
			return &Error{Op: "setns", Path: ownNamespace, Err: err}
		}
		return nil
	})
	return nil
}

// Names of cgroup namespaces. /proc/self is the thread-group leader, and that is the
// calling thread.
const (
	ownNamespace    = "/proc/self/ns/cgroup"
	initNamespace   = "/proc/1/ns/cgroup"
	pinDir          = "/run/cgshim"
	pinnedNamespace = pinDir + "/cgroup" // see pinStep
)

func (r *run) openNamespace(name string) (int, error) {
	fd, err := r.k.openat(unix.AT_FDCWD, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: name, Err: err}
	}
	r.descriptors = append(r.descriptors, fd)
	return fd, nil
}

// pinStep keeps the new namespace for those who come after this process: a supervisor
// that is PID 1 and starts dockerd by --exec does so again when that has ended, and
// stays in the host's cgroup namespace itself. A namespace lives as long as a process
// in it or a bind mount of it (namespaces(7)), and it cannot be made anew, for the
// cgroup that was its root can have no process now.
type pinStep struct{}

func (pinStep) String() string {
	return "mkdir -p " + pinDir + "; touch " + pinnedNamespace + "; mount --bind " + ownNamespace + " " + pinnedNamespace
}

func (pinStep) do(r *run) error {
	r.try(func() error {
		if err := r.k.mkdirat(unix.AT_FDCWD, pinDir, 0o755); err != nil && err != unix.EEXIST {
			return &Error{Op: "mkdir", Path: pinDir, Err: err}
		}
		fd, err := r.k.openat(unix.AT_FDCWD, pinnedNamespace, unix.O_CREAT|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o444)
		if err != nil {
			return &Error{Op: "open", Path: pinnedNamespace, Err: err}
		}
		r.k.close(fd)
		if err := r.k.mount(ownNamespace, pinnedNamespace, "", unix.MS_BIND, ""); err != nil {
			return &Error{Op: "mount", Path: pinnedNamespace, Data: "bind", Err: err}
		}
		return nil
	})
	return nil
}

// joinStep goes into the container's cgroup namespace: that of PID 1, or the one that
// an earlier run has pinned. The delegation stands without it.
type joinStep struct{ leaf string }

func (joinStep) String() string {
	return "nsenter --cgroup=" + initNamespace + " || nsenter --cgroup=" + pinnedNamespace
}

func (s joinStep) do(r *run) error {
	r.try(func() error {
		old, err := r.openNamespace(ownNamespace)
		if err != nil {
			return err
		}
		for _, name := range []string{initNamespace, pinnedNamespace} {
			if err = r.join(name, s.leaf); err == nil {
				return nil
			}
			if back := r.k.setns(old, unix.CLONE_NEWCGROUP); back != nil {
				return &Error{Op: "setns", Path: ownNamespace, Err: back}
			}
		}
		return err
	})
	return nil
}

func (r *run) join(name, leaf string) error {
	fd, err := r.openNamespace(name)
	if err != nil {
		return err
	}
	if err := r.k.setns(fd, unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "setns", Path: name, Err: err}
	}
	// In the host's PID namespace PID 1 is not the container's.
	content, err := r.k.readFile(unix.AT_FDCWD, "/proc/self/cgroup")
	if err != nil {
		return err
	}
	if path := parseMembership(content).unified; path != "/"+leaf {
		return &Error{Op: "setns", Path: name, Data: "the own cgroup is " + path + " there", Err: unix.EXDEV}
	}
	return nil
}
