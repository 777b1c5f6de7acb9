package cgroup

import (
	"cmp"
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

func (unshareStep) String() string { return "unshare --cgroup" }

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

// Files that keepStep and other steps write.
const (
	keptDir       = "/run/cgshim"
	keptNamespace = keptDir + "/cgroup"
	keptCgroup    = keptDir + "/base"
	keptHolder    = keptDir + "/shared"   // see placeTucked
	keptReadOnly  = keptDir + "/readonly" // ID of the mount that writableStep has made writable
)

func (a *application) openNamespace(name string) (int, error) {
	fd, err := a.k.openat(unix.AT_FDCWD, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: name, Err: err}
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
	return joinStep{s.base, s.below}.String() + " || { echo $$ >" + s.base + "/cgroup.procs; unshare --cgroup; }"
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

// keepStep stores facts that a later run of cgshim cannot find out. A later run has to
// know the container's cgroup if the leaf has an unusual name or if the mount shows
// more than this cgroup.
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
	shared bool // the bind mount could reach the host, so it is not made
	quiet  bool // only a run after a killed one misses what is kept, so a failure is no warning
}

func (s keepStep) String() string {
	line := "mkdir -p " + keptDir + "; echo $(stat -c %i .) " + s.leaf + " >" + keptCgroup
	if s.pin && !s.shared {
		line += "; touch " + keptNamespace + "; mount --bind " + ownNamespace + " " + keptNamespace
	}
	return line
}

func (s keepStep) do(a *application) error {
	if err := s.keep(a); err != nil && !s.quiet {
		return err
	}
	return nil
}

func (s keepStep) keep(a *application) error {
	if err := a.k.mkdirat(unix.AT_FDCWD, keptDir, 0o755); err != nil && err != unix.EEXIST {
		return &Error{Op: "mkdir", Path: keptDir, Err: err}
	}
	if err := a.create(keptCgroup, strconv.FormatUint(a.report.ID, 10)+" "+s.leaf+"\n"); err != nil {
		return err
	}
	switch {
	case !s.pin:
		return nil
	case s.shared:
		return &Error{Op: "mount", Path: keptNamespace, Data: "on a shared mount", Err: unix.EXDEV}
	}
	// Remove the mount of a killed run, which the new mount would only cover.
	_ = a.k.umount(keptNamespace, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err := a.create(keptNamespace, ""); err != nil {
		return err
	}
	if err := a.k.mount(ownNamespace, keptNamespace, "", unix.MS_BIND, ""); err != nil {
		return &Error{Op: "mount", Path: keptNamespace, Data: "bind", Err: err}
	}
	a.onFailure(func() error {
		if err := a.k.umount(keptNamespace, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return &Error{Op: "umount", Path: keptNamespace, Err: err}
		}
		return nil
	})
	return nil
}

// create makes a file. The file is removed again if the set-up fails.
func (a *application) create(name, content string) error {
	if err := a.note(name, content); err != nil {
		return err
	}
	a.onFailure(func() error { return a.unlink(name) })
	return nil
}

// unlink removes a file, if it exists.
func (a *application) unlink(name string) error {
	if err := a.k.unlinkat(unix.AT_FDCWD, name, 0); err != nil && err != unix.ENOENT {
		return &Error{Op: "unlink", Path: name, Err: err}
	}
	return nil
}

func (a *application) note(name, content string) error {
	fd, err := a.k.openat(unix.AT_FDCWD, name, unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return &Error{Op: "open", Path: name, Data: "O_CREAT", Err: err}
	}
	defer a.k.close(fd)
	if content == "" {
		return nil
	}
	return a.k.writeTo(fd, name, content)
}

// joinStep joins the container's cgroup namespace. If it fails, the cgroup is still
// delegated.
type joinStep struct{ base, below string }

func (joinStep) String() string {
	return "nsenter --cgroup=" + initNamespace + " || nsenter --cgroup=" + keptNamespace
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
// the kept namespace.
func (a *application) joinAny(old int, base, below string) (err error) {
	for _, name := range []string{initNamespace, keptNamespace} {
		if err = a.join(name, below); err == nil {
			return nil
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
