package cgroup

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// evacuateStep moves every process of the container's cgroup into the leaf. A cgroup
// with processes of its own cannot enable domain controllers for its children (the
// kernel document, "No Internal Process Constraint"). PID 1 moves too, with all its
// threads. If the kernel refuses the container's own cgroup for an `exec`, runc and
// crun put the process into the cgroup of PID 1.
type evacuateStep struct{ leaf, sibling string }

func (s evacuateStep) String() string {
	return "move every process of the container's cgroup into the leaf " + s.leaf + ", and make the empty cgroup " + s.sibling + " beside it"
}

func (s evacuateStep) do(a *application) error {
	err := a.k.mkdirat(a.base, s.leaf, 0o755)
	switch err {
	case nil:
		a.onFailure(func() error { return a.removeLeaf(s.leaf) })
	case unix.EEXIST:
	default:
		return &Error{Op: "mkdir", Path: mountPoint + "/" + s.leaf, Err: err}
	}
	existed := err == unix.EEXIST
	a.makeSibling(s.sibling)
	dir, err := a.openDir(a.base, s.leaf)
	if err != nil {
		return err
	}
	defer a.k.close(dir)
	// A threaded leaf would accept the processes, but its cgroup.procs could not be
	// read.
	kind, err := a.k.readFile(dir, "cgroup.type")
	if err != nil {
		return err
	}
	if kind = strings.TrimSpace(kind); kind != "domain" {
		return &Error{Op: "read", Path: s.leaf + "/cgroup.type", Data: kind, Err: unix.EOPNOTSUPP}
	}
	var keep []string // processes that were in the leaf before the evacuation stay there
	if existed {
		procs, err := a.k.readFile(dir, "cgroup.procs")
		if err != nil {
			return err
		}
		keep, _ = splitProcs(procs)
	}
	a.leaf, err = a.k.openat(dir, "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return &Error{Op: "open", Path: s.leaf + "/cgroup.procs", Err: err}
	}
	a.onFailure(func() error {
		err := a.keepAffinity(func() error { return a.moveBack(s.leaf, keep) })
		// The kernel refuses to make a mount read-only while a file in it is open for
		// writing (EBUSY).
		a.k.close(a.leaf)
		a.leaf = -1
		return err
	})
	// Move this process by its PID. The kernel takes 0 for the writer, but it shows a
	// process of another PID namespace as 0 in cgroup.procs. So nothing here writes 0.
	// Otherwise a 0 that was read there would move this process.
	if err := a.keepAffinity(func() error { return a.move(a.k.subjectPID()) }); err != nil {
		return err
	}
	return a.evacuate()
}

// evacuate moves the processes that are in the container's cgroup now.
func (a *application) evacuate() error {
	a.report.Rounds++
	return a.keepAffinity(a.moveAll)
}

func (a *application) moveAll() error {
	procs, err := a.k.readFile(a.base, "cgroup.procs")
	if err != nil {
		return err
	}
	pids, foreign := splitProcs(procs)
	a.report.Foreign = max(a.report.Foreign, foreign)
	for _, pid := range pids {
		// With nsdelegate the kernel answers ENOENT if a process is not below the root
		// of the cgroup namespace. Such a process stays, like the processes of other PID
		// namespaces.
		if err := a.move(pid); err != nil && !is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// move moves one process into the leaf. A process that has ended meanwhile is no error
// (ESRCH). The kernel answers EINVAL for a process that it is still creating (TASK_NEW).
// The next round finds such a process again, and also a process that is exiting.
func (a *application) move(pid string) error {
	err := a.k.writeTo(a.leaf, a.leafName()+"/cgroup.procs", pid)
	switch {
	case err == nil && a.k.isHelper(pid):
	case err == nil:
		a.report.Moved++
	case is(err, unix.ESRCH, unix.EINVAL):
	default:
		return err
	}
	return nil
}

func (a *application) leafName() string { return a.plan.leaf }

// moveBack undoes the evacuation. The controllers are disabled by then. Processes in
// the leaf may fork meanwhile, so moveBack reads the leaf again until it finds only the
// processes to keep.
func (a *application) moveBack(leaf string, keep []string) (err error) {
	for range undoTries {
		procs, _ := a.k.readFile(a.base, leaf+"/cgroup.procs")
		pids, _ := splitProcs(procs)
		err = nil
		moved := false
		for _, pid := range subtract(pids, keep) {
			switch failed := a.k.writeFile(a.base, "cgroup.procs", pid); {
			case failed == nil:
				moved = true
			case !is(failed, unix.ESRCH):
				err = failed
			}
		}
		if !moved {
			break
		}
	}
	return err
}

// removeLeaf removes the leaf. It tries again while a process in the leaf is exiting.
func (a *application) removeLeaf(leaf string) (err error) {
	for range undoTries {
		err = a.k.unlinkat(a.base, leaf, unix.AT_REMOVEDIR)
		if err == nil {
			return nil
		}
		if err != unix.EBUSY {
			break
		}
		a.k.sleep(time.Millisecond)
	}
	return &Error{Op: "rmdir", Path: mountPoint + "/" + leaf, Err: err}
}

const undoTries = 100

// retryOnEBUSY calls attempt until it returns anything but EBUSY, and evacuates the
// cgroup before each new try. Processes may enter at any time. For instance, a runtime
// clones an exec into the container's cgroup from outside.
//
// Since Linux 7.0 cgroup.procs hides an exiting process before the kernel stops counting
// the process (a72f73c4dd9b, d245698d727a). So retryOnEBUSY goes on even if the file is
// empty.
//
// There is no pause between the first tries, which are enough for a race with one exec.
// Then the pauses double, so a process that never leaves costs almost nothing until the
// deadline.
func (a *application) retryOnEBUSY(attempt func() error) error {
	const immediate = 4
	pause := shortest
	for try := 0; ; try++ {
		err := attempt()
		if !is(err, unix.EBUSY) {
			return err
		}
		deadline := a.start.Add(a.plan.Options.Timeout)
		if over(deadline, a.plan.Options.Interrupted) {
			return a.busy(err)
		}
		if try >= immediate {
			a.k.sleep(min(pause, time.Until(deadline)))
			pause = min(2*pause, longest)
		}
		if err := a.evacuate(); err != nil {
			return err
		}
	}
}

// busy returns err together with the processes that kept the cgroup busy.
func (a *application) busy(err error) error {
	procs, _ := a.k.readFile(a.base, "cgroup.procs")
	pids, foreign := a.k.split(procs)
	b := &BusyError{Foreign: foreign, Elapsed: time.Since(a.start).Round(time.Millisecond).String(), Err: err}
	const most = 8
	b.Left = a.k.name(pids, most)
	return b
}
