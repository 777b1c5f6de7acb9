package cgroup

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// evacuateStep moves every process into the leaf: a cgroup with processes of its
// own can have no domain controllers enabled for its children (the kernel
// document, "No Internal Process Constraint"). PID 1 goes too, all its threads
// with it, for runc and crun put `exec` into the cgroup of PID 1 when the
// container's own is refused.
type evacuateStep struct{ leaf string }

func (s evacuateStep) String() string {
	return "mkdir -p " + s.leaf + "; grep -vx 0 cgroup.procs | xargs -rn1 >" + s.leaf + "/cgroup.procs"
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
	dir, err := a.openDir(a.base, s.leaf)
	if err != nil {
		return err
	}
	defer a.k.close(dir)
	// A threaded leaf would take the processes, and then not even list them.
	kind, err := a.k.readFile(dir, "cgroup.type")
	if err != nil {
		return err
	}
	if kind = strings.TrimSpace(kind); kind != "domain" {
		return &Error{Op: "read", Path: s.leaf + "/cgroup.type", Data: kind, Err: unix.EOPNOTSUPP}
	}
	var keep []string // who was there before us stays there
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
		err := a.moveBack(s.leaf, keep)
		// A mount with a file open for writing cannot be made read-only again (EBUSY).
		a.k.close(a.leaf)
		a.leaf = -1
		return err
	})
	// Ourselves by number: 0 would do the same, but a 0 that is read from
	// cgroup.procs is a process of another PID namespace, and writing that moves
	// the writer.
	if err := a.move(strconv.Itoa(a.k.getpid())); err != nil {
		return err
	}
	return a.evacuate()
}

// evacuate moves what is in the container's cgroup now.
func (a *application) evacuate() error {
	a.report.Rounds++
	procs, err := a.k.readFile(a.base, "cgroup.procs")
	if err != nil {
		return err
	}
	pids, foreign := splitProcs(procs)
	a.report.Foreign = max(a.report.Foreign, foreign)
	for _, pid := range pids {
		// ENOENT: with nsdelegate, one that is not below the namespace's root. Nothing
		// can be done about it from here, as about a process of another PID namespace.
		if err := a.move(pid); err != nil && !is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// move moves one process. One that has ended meanwhile is as good as moved; one
// that is being made (TASK_NEW: EINVAL) or that runs an exit is found again in the
// next round.
func (a *application) move(pid string) error {
	err := a.k.writeTo(a.leaf, a.leafName()+"/cgroup.procs", pid)
	switch {
	case err == nil:
		a.report.Moved++
	case is(err, unix.ESRCH, unix.EINVAL):
	default:
		return err
	}
	return nil
}

func (a *application) leafName() string { return a.plan.leaf }

// moveBack undoes the evacuation; the controllers are disabled by then. Processes
// in the leaf have children meanwhile, so it looks again until nobody else is left.
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

// removeLeaf waits for a process that is just ending in it.
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

// retryOnEBUSY repeats attempt for as long as it answers EBUSY, evacuating before
// each new try. Processes enter all the time: an exec from outside is cloned into
// the container's cgroup. And since Linux 7.0 a process that is exiting is hidden
// from cgroup.procs before it stops counting, so an empty file is no reason to
// stop (a72f73c4dd9b, d245698d727a). The first tries follow at once, which a race
// with one exec needs; then the pauses double, so that a process that never leaves
// costs nothing until the deadline.
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

// busy names what kept the cgroup busy.
func (a *application) busy(err error) error {
	procs, _ := a.k.readFile(a.base, "cgroup.procs")
	pids, foreign := splitProcs(procs)
	b := &BusyError{Foreign: foreign, Elapsed: time.Since(a.start).Round(time.Millisecond).String(), Err: err}
	const most = 8
	b.Left = a.k.name(pids, most)
	return b
}
