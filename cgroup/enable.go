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

func (unthreadStep) do(r *run) error {
	kind, err := r.k.readFile(r.base, "cgroup.type")
	if err != nil || strings.TrimSpace(kind) != "domain threaded" {
		return err
	}
	enabled, err := r.words(subtreeControl)
	controllers := within(enabled, threadedControllers)
	if err != nil || len(controllers) == 0 {
		return err
	}
	if err := r.k.writeFile(r.base, subtreeControl, list("-", controllers)); err != nil {
		return err
	}
	r.onFailure(func() error { return r.k.writeFile(r.base, subtreeControl, list("+", controllers)) })
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

func (s enableStep) do(r *run) (err error) {
	if r.before, err = r.words(subtreeControl); err != nil {
		return err
	}
	r.onFailure(r.disable)
	err = r.whileBusy(r.enableAll)
	if is(err, unix.ENOENT, unix.EINVAL, unix.ENOSPC, unix.ENOMEM) {
		err = r.enableEach()
	}
	if err != nil {
		return err
	}
	return r.confirm()
}

// enableAll reads the list anew each time: a controller may have come or gone.
func (r *run) enableAll() error {
	controllers, err := r.words("cgroup.controllers")
	if err != nil || len(controllers) == 0 {
		return err
	}
	return r.enable(controllers)
}

// enableEach finds the controllers that can be enabled when one cannot: cpu with
// real-time processes below (EINVAL), one that was taken away from above (ENOENT),
// memory where the node has run out of memory cgroup ids (ENOSPC).
func (r *run) enableEach() error {
	controllers, err := r.words("cgroup.controllers")
	if err != nil {
		return err
	}
	for _, c := range controllers {
		err := r.whileBusy(func() error { return r.enable([]string{c}) })
		var busy *BusyError
		switch {
		case errors.As(err, &busy):
			return err
		case err != nil:
			r.report.Missing[c] = err
		}
	}
	if len(controllers) > 0 && len(r.report.Missing) == len(controllers) {
		return r.report.Missing[controllers[0]]
	}
	return nil
}

// enable writes them at once. With a domain controller among them the kernel
// refuses while a process is in the cgroup. Without one it has to be done here:
// before, and, for somebody may have come in between or be hidden while exiting,
// after.
func (r *run) enable(controllers []string) error {
	busy := &Error{Op: "write", Path: subtreeControl, Data: list("+", controllers), Err: unix.EBUSY}
	threaded := len(without(controllers, threadedControllers)) == 0
	if threaded {
		procs, err := r.words("cgroup.procs")
		if err != nil {
			return err
		}
		if len(procs) > 0 {
			return busy
		}
	}
	if err := r.k.writeFile(r.base, subtreeControl, list("+", controllers)); err != nil || !threaded {
		return err
	}
	kind, err := r.words("cgroup.type")
	if err != nil || !slices.Contains(kind, "threaded") {
		return err
	}
	if err := r.k.writeFile(r.base, subtreeControl, list("-", without(controllers, r.before))); err != nil {
		return err
	}
	return busy
}

// disable undoes what was enabled so far.
func (r *run) disable() error {
	now, err := r.words(subtreeControl)
	added := without(now, r.before)
	if err != nil || len(added) == 0 {
		return err
	}
	return r.k.writeFile(r.base, subtreeControl, list("-", added))
}

// confirm reads back what holds now. A write that succeeded and left the leaf
// invalid would fail inner containers later, with errors that name none of this.
func (r *run) confirm() (err error) {
	if r.report.Enabled, err = r.words(subtreeControl); err != nil {
		return err
	}
	for _, file := range []string{"cgroup.type", r.leafName() + "/cgroup.type"} {
		kind, err := r.k.readFile(r.base, file)
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
