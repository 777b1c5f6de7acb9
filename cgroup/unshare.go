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
	const self = "/proc/self/ns/cgroup"
	// /proc/self is the thread-group leader, and that is the calling thread.
	old, err := r.k.openat(unix.AT_FDCWD, self, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &Error{"open", self, "", err}
	}
	if err := r.k.unshare(unix.CLONE_NEWCGROUP); err != nil {
		r.k.close(old)
		return &Error{"unshare", "CLONE_NEWCGROUP", "", err}
	}
	r.onFailure(func() {
		_ = r.k.setns(old, unix.CLONE_NEWCGROUP)
	})
	r.descriptors = append(r.descriptors, old)
	return nil
}

// joinStep goes into the cgroup namespace of the container's PID 1.
type joinStep struct{ leaf string }

func (joinStep) String() string { return "nsenter --target 1 --cgroup" }

func (s joinStep) do(r *run) error {
	const self, init, member = "/proc/self/ns/cgroup", "/proc/1/ns/cgroup", "/proc/self/cgroup"
	old, err := r.k.openat(unix.AT_FDCWD, self, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &Error{"open", self, "", err}
	}
	r.descriptors = append(r.descriptors, old)
	fd, err := r.k.openat(unix.AT_FDCWD, init, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &Error{"open", init, "", err}
	}
	r.descriptors = append(r.descriptors, fd)
	if err := r.k.setns(fd, unix.CLONE_NEWCGROUP); err != nil {
		return &Error{"setns", init, "", err}
	}
	r.onFailure(func() { _ = r.k.setns(old, unix.CLONE_NEWCGROUP) })
	// In the host's PID namespace PID 1 is not the container's.
	content, err := r.k.readFile(unix.AT_FDCWD, member)
	if err != nil {
		return err
	}
	if path := parseMembership(content).unified; path != "/"+s.leaf {
		return &Error{"setns", init, "the own cgroup is " + path + " there", unix.EXDEV}
	}
	return nil
}
