package cgroup

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The errnos that each call may return, from the man pages and, for cgroup files, from
// the kernel document.
var errnos = map[string][]syscall.Errno{
	"unshare":    {unix.EPERM, unix.EINVAL, unix.ENOMEM, unix.ENOSPC},
	"setns":      {unix.EPERM, unix.EINVAL},
	"fsopen":     {unix.EPERM, unix.ENOSYS, unix.ENODEV, unix.EMFILE, unix.EACCES},
	"fsconfig":   {unix.EPERM, unix.EBUSY, unix.EINVAL, unix.EACCES},
	"fsmount":    {unix.EPERM, unix.EINVAL, unix.ENOMEM, unix.ENOSYS, unix.EACCES},
	"move_mount": {unix.EINVAL, unix.EPERM, unix.ENOSYS, unix.ELOOP, unix.ENOSPC, unix.EACCES, unix.ENOENT},
	"mount":      {unix.EPERM, unix.EACCES, unix.EBUSY, unix.EINVAL, unix.ENOMEM, unix.ENOSPC, unix.ENODEV},
	"umount":     {unix.EINVAL, unix.EPERM},
	"open":       {unix.EACCES, unix.ENOENT, unix.EMFILE, unix.EROFS},
	"mkdir":      {unix.EROFS, unix.EACCES, unix.EPERM, unix.EAGAIN, unix.ENOMEM, unix.ENOSPC},
	"read":       {unix.EOPNOTSUPP, unix.ENODEV, unix.EINTR},
	"write":      {unix.EBUSY, unix.ENOENT, unix.EINVAL, unix.EOPNOTSUPP, unix.ESRCH, unix.EACCES, unix.EPERM, unix.EINTR, unix.EAGAIN, unix.ENOSPC, unix.ENOMEM},
	"stat":       {unix.ENOENT, unix.EACCES},
	"fstatfs":    {unix.EIO},
	"fstat":      {unix.EIO},
	"setxattr":   {unix.EACCES, unix.EOPNOTSUPP, unix.ENOSPC},
}

// Every call of a delegation fails once with every errno that it may return. Afterwards
// the container is either delegated all the same or unchanged.
func TestEveryFault(t *testing.T) {
	for name, c := range map[string]child{
		"private":           {Setup: []string{"private"}},
		"read-only":         {Setup: []string{"private", "read-only"}},
		"host":              {Setup: []string{"host"}},
		"shared":            {Setup: []string{"host", "shared"}},
		"mounted over":      {Setup: []string{"host"}, Faults: []fault{{Op: "umount", Errno: unix.EINVAL}}},
		"tucked under":      {Setup: []string{"host", "plain"}, Faults: []fault{{Op: "move_mount", Nth: 1, Errno: unix.EINVAL}}},
		"old mount api":     {Setup: []string{"host"}, Faults: []fault{{Op: "fsopen", Errno: unix.ENOSYS}}},
		"old and in place":  {Setup: []string{"host", "unshared", "shared"}, Faults: []fault{{Op: "fsopen", Errno: unix.EPERM}}},
		"not finished":      {Setup: []string{"private", "in the leaf", "visitor"}},
		"leaf of another":   {Setup: []string{"private", "leaf of another", "leaf is used"}},
		"own, in host's ns": {Setup: []string{"host", "own"}},
	} {
		t.Run(name, func(t *testing.T) { failEach(t, c) })
	}
}

func TestEveryFaultWithAllControllers(t *testing.T) {
	onVM(t)
	for name, c := range map[string]child{
		"half-done":   {Setup: []string{"private", "half-done"}},
		"not mounted": {Setup: []string{"host", "unmounted"}},
		"limits":      {Setup: []string{"private"}, Options: Options{OOMGroup: "0"}},
	} {
		t.Run(name, func(t *testing.T) { failEach(t, c) })
	}
}

// stride leaves most of the equal calls out in a short run, which is in a virtual machine.
func stride(count int) int {
	if testing.Short() {
		return 1 + count/4
	}
	return 1
}

func failEach(t *testing.T, c child) {
	calls := newSandbox(t).run(c).Calls
	for op, count := range calls {
		if len(errnos[op]) == 0 {
			t.Fatalf("no errnos are listed for %s", op)
		}
		if op == "umount" {
			count = min(count, 1) // the first call asks whether the second is allowed
			if slices.ContainsFunc(c.Faults, func(f fault) bool { return f.Op == "move_mount" }) {
				continue // the case "mounted over" covers this, and the fault is for another call
			}
		}
		for nth := 1; nth <= count; nth += stride(count) {
			tried := errnos[op]
			if testing.Short() { // one of them for each call
				tried = tried[nth%len(tried):][:1]
			}
			for _, errno := range tried {
				failing := c
				failing.Faults = append(slices.Clone(c.Faults), fault{Op: op, Nth: nth, Errno: errno})
				failing.Options.Timeout = 2 * time.Second
				s := newSandbox(t)
				out := s.run(failing)
				if out.Err == "" {
					s.delegatedWithout(out.Missing, out)
				} else {
					s.untouched(out)
					explained(t, out, op, errno)
				}
				if t.Failed() {
					t.Fatalf("call %d of %s answering %v", nth, op, errno)
				}
				s.remove()
			}
		}
	}
}

// The same for a run beside another PID 1, which keeps its namespace.
func TestEveryFaultBesideAnInit(t *testing.T) {
	c := child{Setup: []string{"host"}, Idle: true, Exec: []child{{Options: Options{Anywhere: true, Timeout: 2 * time.Second}}}}
	for op, count := range newSandbox(t).run(c).Exec[0].Calls {
		if op == "umount" {
			count = min(count, 1) // the first call asks whether the second is allowed
		}
		for nth := 1; nth <= count; nth += stride(count) {
			for _, errno := range errnos[op][:1] { // TestEveryFault has the others
				failing := c
				failing.Exec = slices.Clone(c.Exec)
				failing.Exec[0].Faults = []fault{{Op: op, Nth: nth, Errno: errno}}
				s := newSandbox(t)
				out := s.run(failing)
				if run := out.Exec[0]; run.Err == "" {
					s.once(out, "init")
					s.enabledWithout(run.Missing, run)
					for _, warning := range run.Warned {
						if strings.HasSuffix(warning, ": ") && !strings.Contains(warning, mountPoint) {
							t.Errorf("%q has no hint", warning)
						}
					}
				} else {
					s.untouched(run)
					explained(t, run, op, errno)
				}
				if t.Failed() {
					t.Fatalf("call %d of %s answering %v", nth, op, errno)
				}
				s.remove()
			}
		}
	}
}

// An error also names the changes that could not be undone.
func TestAnUndoThatFailsIsSaid(t *testing.T) {
	for setup, undo := range map[string]fault{
		"host":      {Op: "setns", Nth: 2, Errno: unix.EPERM},
		"read-only": {Op: "mount", Nth: 2, Errno: unix.EBUSY},
	} {
		t.Run(setup, func(t *testing.T) {
			c := child{Setup: []string{"private", setup}, Faults: []fault{{Op: "write", Nth: 2, Errno: unix.EOPNOTSUPP}, undo}}
			if setup == "host" {
				c.Setup = c.Setup[1:]
			}
			out := newSandbox(t).run(c)
			op, wanted := strings.Replace(undo.Op, "mount", "remount", 1), "; not undone: "
			if !strings.HasPrefix(out.Err, "write "+subtreeControl) || !strings.Contains(out.Err, wanted+op+" /") || !strings.HasSuffix(out.Err, undo.Errno.Error()) {
				t.Errorf("%s: %q", setup, out.Err)
			}
		})
	}
}

// explained checks that an error names the call, the object and the errno. It also
// checks that there is a hint if the user can change something.
func explained(t *testing.T, out outcome, op string, errno syscall.Errno) {
	t.Helper()
	if op == "mount" && strings.HasPrefix(out.Err, "remount") {
		op = "remount"
	}
	if !strings.HasPrefix(out.Err, op+" ") || !strings.HasSuffix(out.Err, ": "+errno.Error()) || strings.Contains(out.Err, "\n") {
		t.Errorf("%q does not name %s and %q", out.Err, op, errno.Error())
	}
	if path := strings.TrimPrefix(out.Err, op+" "); strings.HasPrefix(path, ":") {
		t.Errorf("%q does not name the object", out.Err)
	}
	obscure := []syscall.Errno{unix.EIO, unix.ENODEV, unix.ENOENT, unix.ESRCH, unix.EAGAIN, unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP}
	if out.Hint == "" && op != "stat" && op != "open" && !slices.Contains(obscure, errno) {
		t.Errorf("%q has no hint", out.Err)
	}
}
