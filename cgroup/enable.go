package cgroup

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// unthreadStep undoes what a half-done attempt by somebody else has left: cpu,
// cpuset or pids enabled one by one while there were processes in the cgroup,
// which makes it "domain threaded" and the children invalid. Disabled again it is
// a domain (seen on 5.10 to 7.2).
type unthreadStep struct{}

func (unthreadStep) String() string {
	return `grep -qx domain cgroup.type || echo "` + list("-", threadedControllers) + `" >cgroup.subtree_control`
}

func (unthreadStep) do(a *application) error {
	kind, err := a.k.readFile(a.base, "cgroup.type")
	if err != nil || strings.TrimSpace(kind) != "domain threaded" {
		return err
	}
	enabled, err := a.words(subtreeControl)
	controllers := intersect(enabled, threadedControllers)
	if err != nil || len(controllers) == 0 {
		return err
	}
	if err := a.k.writeFile(a.base, subtreeControl, list("-", controllers)); err != nil {
		return err
	}
	a.onFailure(func() error { return a.k.writeFile(a.base, subtreeControl, list("+", controllers)) })
	return nil
}

// enableStep makes the controllers available to the cgroups of inner containers:
// all in one write, which the kernel takes as a whole or not at all. One by one
// would let cpu, cpuset and pids succeed while a process is inside, with the
// effect that unthreadStep undoes.
type enableStep struct{ controllers []string }

func (s enableStep) String() string {
	return `until echo "` + list("+", s.controllers) + `" >cgroup.subtree_control; do evacuate; done`
}

const subtreeControl = "cgroup.subtree_control"

func (s enableStep) do(a *application) (err error) {
	if a.before, err = a.words(subtreeControl); err != nil {
		return err
	}
	a.onFailure(a.disable)
	err = a.retryOnEBUSY(a.enableAll)
	if is(err, unix.ENOENT, unix.EINVAL, unix.ENOSPC, unix.ENOMEM) {
		err = a.enableEach()
	}
	if err != nil {
		return err
	}
	return a.confirm()
}

// enableAll reads the list anew each time: a controller may have come or gone.
func (a *application) enableAll() error {
	controllers, err := a.words("cgroup.controllers")
	if err != nil || len(controllers) == 0 {
		return err
	}
	return a.enable(controllers)
}

// enableEach finds the controllers that can be enabled when one cannot: cpu with
// real-time processes below (EINVAL), one that was taken away from above (ENOENT),
// memory where the node has run out of memory cgroup ids (ENOSPC).
func (a *application) enableEach() error {
	controllers, err := a.words("cgroup.controllers")
	if err != nil {
		return err
	}
	for _, c := range controllers {
		err := a.retryOnEBUSY(func() error { return a.enable([]string{c}) })
		var busy *BusyError
		switch {
		case errors.As(err, &busy):
			return err
		case err != nil:
			a.report.Missing[c] = err
		}
	}
	if len(controllers) > 0 && len(a.report.Missing) == len(controllers) {
		return a.report.Missing[controllers[0]]
	}
	return nil
}

// enable writes them at once. With a domain controller among them the kernel
// refuses while a process is in the cgroup. Without one it has to be done here:
// before, and, for somebody may have come in between or be hidden while exiting,
// after.
func (a *application) enable(controllers []string) error {
	busy := &Error{Op: "write", Path: subtreeControl, Data: list("+", controllers), Err: unix.EBUSY}
	threaded := len(subtract(controllers, threadedControllers)) == 0
	if threaded {
		procs, err := a.words("cgroup.procs")
		if err != nil {
			return err
		}
		if len(procs) > 0 {
			return busy
		}
	}
	if err := a.k.writeFile(a.base, subtreeControl, list("+", controllers)); err != nil || !threaded {
		return err
	}
	kind, err := a.words("cgroup.type")
	if err != nil || !slices.Contains(kind, "threaded") {
		return err
	}
	if err := a.k.writeFile(a.base, subtreeControl, list("-", subtract(controllers, a.before))); err != nil {
		return err
	}
	return busy
}

// disable undoes what was enabled so far.
func (a *application) disable() error {
	now, err := a.words(subtreeControl)
	added := subtract(now, a.before)
	if err != nil || len(added) == 0 {
		return err
	}
	return a.k.writeFile(a.base, subtreeControl, list("-", added))
}

// confirm reads back what holds now. A write that succeeded and left the leaf
// invalid would fail inner containers later, with errors that name none of this.
func (a *application) confirm() (err error) {
	if a.report.Enabled, err = a.words(subtreeControl); err != nil {
		return err
	}
	for _, file := range []string{"cgroup.type", a.leafName() + "/cgroup.type"} {
		kind, err := a.k.readFile(a.base, file)
		if err != nil {
			return err
		}
		if kind = strings.TrimSpace(kind); kind != "domain" {
			return &Error{Op: "read", Path: file, Data: kind, Err: unix.EOPNOTSUPP}
		}
	}
	return nil
}

// list is controllers as cgroup.subtree_control takes them. Nothing at all is fine
// with the kernel; a sign alone is EINVAL.
func list(sign string, controllers []string) string {
	if len(controllers) == 0 {
		return ""
	}
	return sign + strings.Join(controllers, " "+sign)
}
