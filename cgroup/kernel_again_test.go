package cgroup

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// once checks that all these runs of cgshim in one container end in one delegation.
func (s *sandbox) once(out outcome, leaf string) {
	s.t.Helper()
	if children := childrenOf(s.t, s.dir); !slices.Equal(children, []string{leaf}) || len(childrenOf(s.t, s.dir+"/"+leaf)) > 0 {
		s.t.Errorf("children %q", children)
	}
	for i, run := range out.Exec {
		if run.Dead {
			continue
		}
		if run.Skip || run.Err != "" || run.Report.Outside || run.After.Membership != "/"+leaf {
			s.t.Errorf("run %d: %q, %s%s, own cgroup %s", i+1, run.State, run.Reason, run.Err, run.After.Membership)
		}
		// In a private namespace, any namespace that begins at the container's cgroup
		// will do.
		if last := out.Exec[len(out.Exec)-1]; out.Before.Namespace == InitialCgroupNamespace && run.After.Namespace != last.After.Namespace || run.After.Enabled == "" {
			s.t.Errorf("run %d: namespace %d and not %d, enabled %q", i+1, run.After.Namespace, last.After.Namespace, run.After.Enabled)
		}
	}
}

func childrenOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// A supervisor stops dockerd and starts it again while the first run is still setting
// up.
func TestRunsAtOnce(t *testing.T) {
	for _, setup := range [][]string{{"private"}, {"host"}, {"host", "read-only run"}} {
		s := newSandbox(t)
		c := child{Setup: setup, Idle: true, AtOnce: true}
		for range 16 {
			c.Exec = append(c.Exec, child{SetUp: true, Options: Options{Anywhere: true, Timeout: time.Minute}})
		}
		out := s.run(c)
		s.once(out, "init")
		made := 0
		for _, run := range out.Exec {
			if run.State != Delegated {
				made++
			}
		}
		if made != 1 {
			t.Errorf("%q: %d runs have delegated", setup, made)
		}
		s.remove()
	}
}

func TestARunThatDoesNotEndIsWaitedForUntilTheDeadline(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "locked"}, SetUp: true, Options: Options{Timeout: 200 * time.Millisecond}})
	if !strings.HasPrefix(out.Err, "flock /run: ") || !strings.Contains(out.Hint, "--cgroup-timeout") {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	s.untouched(out)
}

func TestWithoutALock(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOLCK, unix.ENOSYS} {
		s := newSandbox(t)
		s.delegated(s.run(child{Setup: []string{"host"}, SetUp: true, Faults: []fault{{Op: "flock", Errno: errno}}}))
	}
}

// If another program changes the environment between the observation and a step, setUp
// observes again.
func TestWhatHasMovedIsLookedAtAnew(t *testing.T) {
	for _, f := range []fault{
		{Op: "mkdir", Nth: 1, Errno: unix.ENODEV},
		{Op: "fstat", Nth: 2, Do: "moved to the leaf"}, // stat of the former own cgroup: the new mount shows another one
		{Op: "write", Nth: 1, Errno: unix.ENODEV},
		{Op: "open", Nth: 3, Errno: unix.ENOENT},
	} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{"private"}, SetUp: true, Faults: []fault{f}})
		s.delegated(out)
	}
}

// A run is killed at each of its calls, and the next run continues from the state that
// it left.
func TestAKilledRunIsTakenUp(t *testing.T) {
	noBeneath := []fault{{Op: "move_mount", Nth: 1, Errno: unix.EINVAL}}
	for _, c := range []struct {
		leaf   string
		setup  []string
		faults []fault
		ops    []string
	}{
		{"init", []string{"host"}, nil, []string{"write", "unshare", "mkdir", "move_mount"}},
		{"shim", []string{"private"}, nil, []string{"write", "mkdir"}},
		{"init", []string{"host", "plain"}, noBeneath, []string{"mount", "move_mount", "umount"}},
	} {
		leaf := c.leaf
		run := child{SetUp: true, Options: Options{Anywhere: true, Leaf: leaf}, Faults: c.faults}
		s := newSandbox(t)
		calls := s.run(child{Setup: c.setup, Idle: true, Exec: []child{run}}).Exec[0].Calls
		s.remove()
		for _, op := range c.ops {
			for nth := 1; nth <= calls[op]; nth++ {
				dying := run
				dying.Faults = append([]fault{{Op: op, Nth: nth, Do: "killed"}}, c.faults...)
				s := newSandbox(t)
				out := s.run(child{Setup: c.setup, Idle: true, Exec: []child{dying, run, run}})
				if !out.Exec[0].Dead {
					t.Errorf("%s %d was not called", op, nth)
				}
				s.once(out, leaf)
				if t.Failed() {
					t.Fatalf("%s, %q, killed before %s %d of %d", leaf, c.setup, op, nth, calls[op])
				}
				s.remove()
			}
		}
	}
}

// On a read-only /run the namespace cannot be kept. A process in the namespace will do.
func TestTheNamespaceIsFoundInAProcess(t *testing.T) {
	s := newSandbox(t)
	run := child{SetUp: true, Options: Options{Anywhere: true}}
	out := s.run(child{Setup: []string{"host", "read-only run"}, Idle: true, Exec: []child{run, run}})
	// The first process has ended, so no process is in its namespace.
	if last := out.Exec[1]; last.State != Delegated || !last.Report.Outside || len(out.Exec[0].Warned) != 1 || len(last.Warned) != 1 {
		t.Errorf("%+v", last)
	} else if kept, missing := out.Exec[0].Warned[0], last.Warned[0]; !strings.Contains(kept, "/run/cgshim: read-only file system: make /run writable") || !strings.Contains(missing, "this process stays in the host's cgroup namespace") {
		t.Errorf("%q, %q", kept, missing)
	}
	s.untouched(out.Exec[1])
}

// k3s and systemd move a program that cgshim became one cgroup deeper.
func TestAProgramThatMovesDeeper(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{setup}, Exec: []child{
			{Setup: []string{"deeper"}, SetUp: true, Options: Options{Anywhere: true}},
			{SetUp: true, Options: Options{Anywhere: true, OOMGroup: "0"}},
		}})
		s.delegated(out)
		for i, run := range out.Exec {
			if run.State != Delegated || run.Err != "" || run.After.Membership != "/init/init" || run.After.Namespace != out.After.Namespace ||
				!slices.Equal(run.After.Children, []string{"init"}) || !slices.Equal(run.After.Mounts, out.After.Mounts) {
				t.Errorf("%s: run %d: %+v", setup, i+1, run)
			}
		}
	}
}

// An inner container that shares the outer container's cgroup namespace is a container
// of its own. A delegation there writes nothing in the outer container's cgroup.
func TestAContainerInADelegatedOne(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{setup}, Inner: &child{Setup: []string{"host"}, SetUp: true}})
		s.delegated(out)
		inner := out.Inner
		if inner.State != HostView || inner.Err != "" || inner.After.Membership != "/init" || inner.Report.HostPath != "/inner" || !slices.Contains(inner.After.Leaf, "1") {
			t.Errorf("%s: %+v", setup, inner)
		}
		if got := childrenOf(t, s.dir+"/inner"); !slices.Equal(got, []string{"init"}) || len(childrenOf(t, s.dir+"/init")) > 0 {
			t.Errorf("%s: %q", setup, got)
		}
	}
}

// LXC makes the group of a container's root the owner of the container's cgroup, and
// not root.
func TestDelegatedByGroup(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	s.handOverToGroup()
	s.delegated(s.run(child{Setup: []string{"userns"}}))
}

// A cgroup that this group may not write is not delegated.
func TestAGroupThatMayNotWriteIsLeft(t *testing.T) {
	for _, file := range []string{"", "/cgroup.procs", "/" + subtreeControl} {
		s := newSandbox(t)
		s.user = true
		s.handOverToGroup()
		if err := os.Chmod(s.dir+file, 0o755); err != nil {
			t.Fatal(err)
		}
		out := s.run(child{Setup: []string{"userns"}})
		if out.State != Undelegated || !out.Skip {
			t.Errorf("%q: %+v", file, out)
		}
		s.untouched(out)
	}
}

// The program of `docker run --init` acts as PID 1 would.
func TestBesideAnInit(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{setup}, Idle: true, Exec: []child{{SetUp: true}, {SetUp: true}}})
		s.once(out, "init")
		if out.Exec[1].State != Delegated {
			t.Errorf("%+v", out.Exec[1])
		}
	}
}

// A service is in a cgroup of its own, and acts only if it is asked to.
func TestAServiceDoesNotAct(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}, Idle: true, Exec: []child{{Setup: []string{"in a cgroup of its own"}, SetUp: true}}})
	if run := out.Exec[0]; run.State != NotInit || !run.Skip {
		t.Errorf("%+v", run)
	}
	s.untouched(out.Exec[0])
}

// Before Linux 6.5 too the old mount is removed, so that a later umount cannot uncover
// it.
func TestOldMountIsReplacedWithoutBeneath(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{
		Setup: []string{"host", "plain"}, Watch: true, Faults: []fault{{Op: "move_mount", Nth: 1, Errno: unix.EINVAL}},
		Command: []string{"/bin/sh", "-c", "cat /proc/self/mountinfo"},
	})
	s.delegated(out)
	if !out.Report.Replaced || len(out.After.Mounts) != 1 || out.Gaps > 0 || strings.Contains(out.Output, "shared:") {
		t.Errorf("replaced %v, mounts %q, %d of %d looks saw no cgroup2\n%s", out.Report.Replaced, out.After.Mounts, out.Gaps, out.Looks, out.Output)
	}
}
