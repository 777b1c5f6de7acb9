package cgroup

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// unshareStep makes the current cgroup the root of a new cgroup namespace. It
// comes before anything is moved, for the root is the cgroup at the time of the
// call (cgroup_namespaces(7)), and before anything is mounted: a cgroup2 mounted
// from the initial namespace without options would take nsdelegate and
// memory_recursiveprot from the whole host (kernel/cgroup/cgroup.c,
// apply_cgroup_root_flags; seen on 5.10 to 7.2).
type unshareStep struct{}

func (unshareStep) String() string { return "unshare --cgroup" }

func (unshareStep) do(a *application) error {
	old, err := a.openNamespace(ownNamespace)
	if err != nil {
		return err
	}
	// There is no way back into a namespace of another user namespace (setns(2)). The
	// kernel asks that before it sees that this one is our own.
	if err := a.enter(old, ownNamespace); err != nil {
		return err
	}
	if err := a.k.unshare(unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "unshare", Path: "CLONE_NEWCGROUP", Err: err}
	}
	a.onFailure(func() error { return a.enter(old, ownNamespace) })
	return nil
}

// Names of cgroup namespaces. /proc/self is the thread-group leader, and that is the
// calling thread.
const (
	ownNamespace  = "/proc/self/ns/cgroup"
	initNamespace = "/proc/1/ns/cgroup"
)

// What keepStep leaves.
const (
	keptDir       = "/run/cgshim"
	keptNamespace = keptDir + "/cgroup"
	keptCgroup    = keptDir + "/base"
	keptHolder    = keptDir + "/shared" // see placeTucked
)

func (a *application) openNamespace(name string) (int, error) {
	fd, err := a.k.openat(unix.AT_FDCWD, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &Error{Op: "open", Path: name, Err: err}
	}
	a.descriptors = append(a.descriptors, fd)
	return fd, nil
}

// regainStep goes on where a run was killed after it had moved processes into the
// leaf, this one perhaps among them: a namespace that is made there would begin one
// level too deep. It takes the namespace that the run has kept. Without one it goes
// back into the container's cgroup and makes it anew, which is allowed for as long as
// no controllers are enabled there.
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
	self := strconv.Itoa(a.k.getpid())
	if err := a.k.writeFile(unix.AT_FDCWD, s.base+"/cgroup.procs", self); err != nil {
		return err
	}
	a.onFailure(func() error { return a.k.writeFile(unix.AT_FDCWD, s.base+s.below+"/cgroup.procs", self) })
	return unshareStep{}.do(a)
}

// keepStep keeps what a later run cannot find out: which cgroup is the container's
// where the leaf has a name of its own or the mount shows more, and beside another
// PID 1 the new namespace. A supervisor that starts dockerd by --exec does so again
// when that has ended, and stays in the host's cgroup namespace itself. A namespace
// lives as long as a process in it or a bind mount of it (namespaces(7)), and it cannot
// be made anew, for the cgroup that was its root can have no process now. So it is done
// before the first process is moved.
type keepStep struct {
	leaf string
	pin  bool
}

func (s keepStep) String() string {
	line := "mkdir -p " + keptDir + "; echo $(stat -c %i .) " + s.leaf + " >" + keptCgroup
	if s.pin {
		line += "; touch " + keptNamespace + "; mount --bind " + ownNamespace + " " + keptNamespace
	}
	return line
}

func (s keepStep) do(a *application) error {
	if err := a.k.mkdirat(unix.AT_FDCWD, keptDir, 0o755); err != nil && err != unix.EEXIST {
		return &Error{Op: "mkdir", Path: keptDir, Err: err}
	}
	if err := a.create(keptCgroup, strconv.FormatUint(a.report.ID, 10)+" "+s.leaf+"\n"); err != nil {
		return err
	}
	if !s.pin {
		return nil
	}
	// One that a killed run has left would stay below.
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

// create makes a file that goes away if the set-up fails.
func (a *application) create(name, content string) error {
	if err := a.note(name, content); err != nil {
		return err
	}
	a.onFailure(func() error {
		if err := a.k.unlinkat(unix.AT_FDCWD, name, 0); err != nil {
			return &Error{Op: "unlink", Path: name, Err: err}
		}
		return nil
	})
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

// joinStep goes into the container's cgroup namespace. The delegation stands without it.
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

// joinAny tries the namespace of PID 1, the one that an earlier run has kept, and those
// of the processes beside this one, such as a dockerd that the earlier run has become.
// It returns the error of the kept one.
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

// join enters a namespace if the own cgroup is where it has to be there: in the host's
// PID namespace PID 1 is not the container's.
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
	if path := parseMembership(content).unified; path != below {
		return &Error{Op: "setns", Path: name, Data: "the own cgroup is " + path + " there", Err: unix.EXDEV}
	}
	return nil
}

func (a *application) enter(fd int, name string) error {
	if err := a.k.setns(fd, unix.CLONE_NEWCGROUP); err != nil {
		return &Error{Op: "setns", Path: name, Err: err}
	}
	return nil
}
