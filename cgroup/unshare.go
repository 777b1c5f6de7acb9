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
