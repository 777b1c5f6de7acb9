package cgroup

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unshareStep makes this process's cgroup the root of a new cgroup namespace. The step
// comes before any process is moved, because the kernel takes the cgroup at the time of
// the call as the root (cgroup_namespaces(7)). It also comes before the mount. A mount
// of cgroup2 from the initial namespace without options would remove nsdelegate and
// memory_recursiveprot from the whole host (kernel/cgroup/cgroup.c,
// apply_cgroup_root_flags; seen on 5.10 to 7.2).
type unshareStep struct{}

func (unshareStep) String() string {
	return "make a cgroup namespace whose root is the container's cgroup"
}

func (unshareStep) do(a *application) error {
	old, err := a.openNamespace(ownNamespace)
	if err != nil {
		return err
	}
	// A process cannot return into a cgroup namespace that belongs to another user
	// namespace (setns(2)). The kernel checks this permission first, even if the process
	// is in the namespace. So this call shows beforehand whether the step can be undone.
	if err := a.enter(old, ownNamespace); err != nil {
		return err
	}
	if err := a.k.unshare(unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "unshare", Path: "CLONE_NEWCGROUP", Err: err}
	}
	a.onFailure(func() error { return a.enter(old, ownNamespace) })
	return nil
}

// Files of cgroup namespaces. /proc/self is the thread-group leader, which is the
// calling thread.
const (
	ownNamespace  = "/proc/self/ns/cgroup"
	initNamespace = "/proc/1/ns/cgroup"
)

// openNamespace opens a cgroup namespace, which may be one that a run has kept.
func (a *application) openNamespace(name string) (fd int, err error) {
	if slices.Contains(pins(), name) {
		fd, err = a.k.openPin(name)
	} else if fd, err = a.k.openat(unix.AT_FDCWD, name, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		err = &Error{Op: "open", Path: name, Err: err}
	}
	if err != nil {
		return -1, err
	}
	a.descriptors = append(a.descriptors, fd)
	return fd, nil
}

// regainStep continues the work of a run of cgshim that was killed after it had moved
// processes into the leaf. This process may be among them. A namespace that it made in
// the leaf would begin one level too deep. So regainStep joins the namespace that the
// killed run has kept. If there is no such namespace, regainStep moves this process back
// into the container's cgroup and makes the namespace there. The kernel allows this move
// as long as no controllers are enabled, so regainStep disables them before.
type regainStep struct{ base, leaf, below string }

func (s regainStep) String() string {
	return joinStep{s.base, s.below}.String() + ", or else move this process back into " + s.base + " and make a cgroup namespace there"
}

func (s regainStep) do(a *application) error {
	old, err := a.openNamespace(ownNamespace)
	if err != nil {
		return err
	}
	a.onFailure(func() error { return a.enter(old, ownNamespace) })
	if a.joinAny(old, s.base, s.below) == nil {
		return nil
	}
	if err := s.disable(a); err != nil {
		return err
	}
	for _, pid := range []string{a.k.subjectPID(), strconv.Itoa(a.k.getpid())} {
		if err := a.k.writeFile(unix.AT_FDCWD, s.base+"/cgroup.procs", pid); err != nil {
			return err
		}
		a.onFailure(func() error { return a.k.writeFile(unix.AT_FDCWD, s.base+s.below+"/cgroup.procs", pid) })
	}
	return unshareStep{}.do(a)
}

// disable disables the controllers that the killed run has enabled.
func (s regainStep) disable(a *application) error {
	file := s.base + "/" + subtreeControl
	enabled, err := a.k.readFile(unix.AT_FDCWD, file)
	controllers := strings.Fields(enabled)
	if err != nil || len(controllers) == 0 {
		return err
	}
	if err := a.k.writeFile(unix.AT_FDCWD, file, list("-", controllers)); err != nil {
		return err
	}
	a.onFailure(func() error { return a.k.writeFile(unix.AT_FDCWD, file, list("+", controllers)) })
	return nil
}

// keepStep stores what a later run of cgshim cannot find out. A later run has to know the
// container's cgroup if the leaf has an unusual name or if the mount shows more than this
// cgroup. The note on the cgroup has that.
//
// Beside another PID 1 a later run also has to know the new cgroup namespace. For
// instance, a supervisor stays in the host's cgroup namespace and starts dockerd by
// --exec each time dockerd has ended. A namespace lives as long as a process is in it or
// a bind mount of it exists (namespaces(7)), so keepStep makes a bind mount. No process
// can make the namespace again later, because a delegated cgroup can have no process of
// its own. So keepStep comes before the first process is moved.
type keepStep struct {
	leaf   string
	pin    bool
	shared []string // rooms in which the bind mount could reach the host
	quiet  bool     // only a run after a killed one misses the note, so a failure is no warning
}

func (s keepStep) String() string {
	text := "note the name of the leaf, " + s.leaf + ", on the container's cgroup"
	if s.pin && len(s.shared) < len(rooms) {
		text += ", and keep the cgroup namespace by a mount in " + subtract(rooms, s.shared)[0]
	}
	return text
}

func (s keepStep) do(a *application) error {
	if s.pin {
		a.try(func() error { return a.pin(s.shared) })
	}
	if err := a.writeNote(0); err != nil && !s.quiet {
		return err
	}
	return nil
}

// joinStep joins the container's cgroup namespace. If it fails, the cgroup is still
// delegated.
type joinStep struct{ base, below string }

func (joinStep) String() string {
	return "join the cgroup namespace of PID 1, or the one that an earlier run has kept"
}

func (s joinStep) do(a *application) error {
	old, err := a.openNamespace(ownNamespace)
	if err != nil {
		return err
	}
	if err := a.joinAny(old, s.base, s.below); err != nil {
		return err
	}
	a.report.Outside = false
	return nil
}

// joinAny tries to join the namespace of PID 1, then the namespace that an earlier run
// of cgshim has kept, then the namespaces of the processes in the same cgroup. Such a
// process may be a dockerd that the earlier run has become. joinAny returns the error of
// the first room, or of a room in whose place something else is.
func (a *application) joinAny(old int, base, below string) (err error) {
	for i, name := range append([]string{initNamespace}, pins()...) {
		failed := a.join(name, below)
		if failed == nil {
			return nil
		}
		if i <= 1 || is(err, unix.ENOENT) && !is(failed, unix.ENOENT) {
			err = failed
		}
		if back := a.enter(old, ownNamespace); back != nil {
			return back
		}
	}
	procs, _ := a.k.readFile(unix.AT_FDCWD, base+below+"/cgroup.procs")
	pids, _ := splitProcs(procs)
	seen := map[uint64]bool{}
	for _, pid := range pids {
		var s unix.Stat_t
		name := "/proc/" + pid + "/ns/cgroup"
		if a.k.stat(name, &s) != nil || seen[s.Ino] {
			continue
		}
		seen[s.Ino] = true
		if a.join(name, below) == nil {
			return nil
		}
		if back := a.enter(old, ownNamespace); back != nil {
			return back
		}
	}
	return err
}

// join enters a namespace and checks that this process's cgroup has the right path
// there. The path is wrong if PID 1 does not belong to this container, as in the host's
// PID namespace.
func (a *application) join(name, below string) error {
	fd, err := a.openNamespace(name)
	if err != nil {
		return err
	}
	if err := a.enter(fd, name); err != nil {
		return err
	}
	content, err := a.k.readFile(unix.AT_FDCWD, "/proc/self/cgroup")
	if err != nil {
		return err
	}
	if path := parseMembership(content).unified; path != cmp.Or(below, "/") {
		return &Error{Op: "setns", Path: name, Data: "this process's cgroup is " + path + " there", Err: unix.EXDEV}
	}
	return nil
}

func (a *application) enter(fd int, name string) error {
	if err := a.k.setns(fd, unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "setns", Path: name, Err: err}
	}
	return nil
}
