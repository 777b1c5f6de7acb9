package cgroup

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// unthreadStep repairs a cgroup that another program has left in type "domain threaded"
// when it failed to delegate the cgroup. The type appears if a program enables cpu,
// cpuset or pids one by one while processes are in the cgroup. The cgroups below are
// then invalid. If these controllers are disabled again, the cgroup is a domain again
// (seen on 5.10 to 7.2).
type unthreadStep struct{}

func (unthreadStep) String() string {
	return "if the cgroup is threaded, disable " + strings.Join(threadedControllers, ", ") + " to make it a domain again"
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

// enableStep enables the controllers for the cgroups of inner containers. It does so in
// a single write, of which the kernel enables all controllers or none. Of separate
// writes, cpu, cpuset and pids would succeed while a process is in the cgroup. See
// unthreadStep for the effect.
type enableStep struct{ controllers []string }

func (s enableStep) String() string {
	what := "all controllers"
	if len(s.controllers) > 0 {
		what += " (" + strings.Join(s.controllers, " ") + ")"
	}
	return "enable " + what + " for inner containers in one write, and move processes that enter meanwhile"
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

// enableAll reads the list again for each try, because a controller may appear or
// disappear.
func (a *application) enableAll() error {
	controllers, err := a.words("cgroup.controllers")
	if err != nil || len(controllers) == 0 {
		return err
	}
	return a.enable(controllers)
}

// enableEach enables each controller by itself, because one of them cannot be enabled.
// The kernel refuses cpu with real-time processes below (EINVAL), a controller that was
// taken away in the cgroup above (ENOENT), and memory on a node without free memory
// cgroup ids (ENOSPC).
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

// enable enables the controllers in one write. If a domain controller is among them, the
// kernel refuses the write while a process is in the cgroup. If all of them are threaded
// controllers, the kernel accepts the write, so enable checks for processes before and
// after the write. A process may enter between the first check and the write, or it may
// be exiting and hidden from cgroup.procs.
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
	if err := a.control("+", controllers); err != nil || !threaded {
		return err
	}
	kind, err := a.words("cgroup.type")
	if err != nil || !slices.Contains(kind, "threaded") {
		return err
	}
	if err := a.control("-", subtract(controllers, a.before)); err != nil {
		return err
	}
	return busy
}

// disable disables the controllers that enableStep enabled so far.
func (a *application) disable() error {
	now, err := a.words(subtreeControl)
	added := subtract(now, a.before)
	if err != nil || len(added) == 0 {
		return err
	}
	return a.control("-", added)
}

// control enables ("+") or disables ("-") controllers.
func (a *application) control(sign string, controllers []string) error {
	return a.keepAffinity(func() error { return a.k.writeFile(a.base, subtreeControl, list(sign, controllers)) })
}

// confirm reads back the result. A write may succeed and still leave the leaf invalid.
// Inner containers would fail later, with errors that do not name the cause.
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

// list formats controllers for cgroup.subtree_control. The kernel accepts an empty
// write, but returns EINVAL for a sign alone.
func list(sign string, controllers []string) string {
	if len(controllers) == 0 {
		return ""
	}
	return sign + strings.Join(controllers, " "+sign)
}
