package cgroup

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OOMKills returns the number of processes that the OOM killer has ended so far in the
// container and its inner containers. Without a delegation it counts the processes of
// this process's own cgroup. The number is oom_kill of memory.events, which includes the
// whole subtree (the kernel document, "Memory Interface Files"). ok is false if the file
// cannot be read.
func OOMKills(delegated bool) (n uint64, ok bool) { return linux.oomKills(mountPoint, delegated) }

func (k *kernel) oomKills(point string, delegated bool) (n uint64, ok bool) {
	dir := point
	if !delegated {
		own, err := k.ownPath()
		if err != nil || own == "" {
			return 0, false
		}
		dir += own
	}
	n, err := strconv.ParseUint(k.field(dir+"/memory.events", "oom_kill "), 10, 64)
	return n, err == nil
}

// ownPath returns the path of this process's cgroup from the root of its cgroup
// namespace.
func (k *kernel) ownPath() (string, error) {
	member, err := k.readFile(unix.AT_FDCWD, "/proc/self/cgroup")
	return parseMembership(member).unified, err
}

// KillOthers ends every process of the inner containers. It writes cgroup.kill (Linux
// 5.14) of each cgroup below the container's cgroup, except the leaf with this process.
// It goes on after a failure and returns the first error. If this process is not in a
// leaf directly below the root of its cgroup namespace, the error is EOPNOTSUPP.
func KillOthers() error { return linux.killOthers(mountPoint) }

func (k *kernel) killOthers(point string) error {
	own, err := k.ownPath()
	if err != nil {
		return err
	}
	leaf := strings.TrimPrefix(own, "/")
	if leaf == "" || leaf == ".." || strings.Contains(leaf, "/") {
		return &Error{Op: "read", Path: "/proc/self/cgroup", Data: own, Err: unix.EOPNOTSUPP}
	}
	names, first := k.entries(point)
	for _, name := range names {
		if name == leaf {
			continue
		}
		if err := k.killGroup(point + "/" + name); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// killGroup ends the processes of a cgroup. A file is no cgroup (ENOTDIR), and a cgroup that
// is removed meanwhile has no processes (ENOENT, or ENODEV from its open directory).
func (k *kernel) killGroup(path string) error {
	dir, err := k.openDir(unix.AT_FDCWD, path)
	if is(err, unix.ENOTDIR, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer k.close(dir)
	err = k.writeFile(dir, "cgroup.kill", "1")
	if is(err, unix.ENODEV) {
		return nil
	}
	return under(path, err)
}

// under returns err with a path that begins at dir.
func under(dir string, err error) error {
	e := asError(err)
	if e == nil {
		return err
	}
	return &Error{Op: e.Op, Path: dir + "/" + e.Path, Data: e.Data, Err: e.Err}
}
