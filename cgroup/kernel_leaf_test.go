package cgroup

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestLeafOfAnotherName(t *testing.T) {
	for _, leaf := range []string{"shim", "a leaf", "init.scope"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{"host"}, Options: Options{Leaf: leaf}, Twice: true})
		s.delegated(out)
		if out.Again != Delegated || !slices.Equal(out.After.Children, []string{leaf}) {
			t.Errorf("%s: second run is %q, children %q", leaf, out.Again, out.After.Children)
		}
	}
}

func TestLeafThatIsAFileIsAnError(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private"}, Options: Options{Leaf: "cgroup.stat"}})
	if !strings.Contains(out.Err, "cgroup.stat: not a directory") || !strings.Contains(out.Hint, "--cgroup-leaf") {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	s.untouched(out)
}

// Processes that were in the leaf before stay there after a failure.
func TestUndoLeavesTheLeafsOwnProcesses(t *testing.T) {
	s := newSandbox(t)
	s.occupy()
	out := s.run(child{Setup: []string{"private", "leaf of another", "leaf is used"}, Options: Options{Timeout: 1}})
	if out.Err == "" || len(out.Before.Leaf) != 1 {
		t.Errorf("err %q, leaf %q", out.Err, out.Before.Leaf)
	}
	s.untouched(out)
}

// If another program in the container has begun a delegation, cgshim finishes it and
// does not begin a new one a level deeper.
func TestUnfinishedDelegationIsTakenUp(t *testing.T) {
	for _, setup := range [][]string{{"private", "in the leaf"}, {"private", "in the leaf", "visitor"}} {
		s := newSandbox(t)
		out := s.run(child{Setup: setup, Twice: true})
		if out.State != Interrupted || out.Again != Delegated || !slices.Equal(out.After.Children, []string{"init"}) {
			t.Errorf("%q, then %q, children %q", out.State, out.Again, out.After.Children)
		}
		s.delegated(out)
	}
}

// A second container gets the same cgroup, with the leaf of the first container. The
// runtime disables the controllers, or it could not put a process into the cgroup.
func TestRestartInTheSameCgroup(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		for range 3 {
			out := s.run(child{Setup: []string{setup}})
			s.delegated(out)
			enabled := strings.Fields(readFile(t, s.dir+"/"+subtreeControl))
			waitFor(t, "the container to be gone", func() bool {
				return os.WriteFile(s.dir+"/"+subtreeControl, []byte(list("-", enabled)), 0) == nil &&
					strings.Contains(readFile(t, s.dir+"/cgroup.events"), "populated 0")
			})
		}
	}
}

// A container was started in the host's cgroup namespace. runc starts an exec in that
// namespace and in the leaf.
func TestExecJoinsTheNamespaceOfPID1(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{setup}, Exec: []child{{Options: Options{Anywhere: true}}}})
		s.delegated(out)
		again := out.Exec[0]
		if again.State != Delegated || again.Err != "" || again.After.Namespace != out.After.Namespace || again.After.Membership != "/init" {
			t.Errorf("%s: %+v", setup, again)
		}
		if setup == "host" && (again.Before.Namespace == out.After.Namespace || again.Report.HostPath != "/"+s.name) {
			t.Errorf("the exec began in the container's namespace, %+v", again)
		}
		if again.Report.ID != out.Report.ID {
			t.Errorf("id %d, want %d", again.Report.ID, out.Report.ID)
		}
	}
}

// If the join fails, the process stays where it is, and the cgroup stays delegated.
func TestFailedJoinLeavesTheNamespace(t *testing.T) {
	for op, count := range map[string]int{"setns": 2, "open": 3, "read": 1} {
		for nth := 1; nth <= count; nth++ {
			for _, errno := range errnos[op] {
				s := newSandbox(t)
				out := s.run(child{Setup: []string{"host"}, Exec: []child{{Options: Options{Anywhere: true}, Faults: []fault{{Op: op, Nth: nth, Errno: errno}}}}})
				s.delegated(out)
				again := out.Exec[0]
				if again.State != Delegated || again.Err != "" {
					t.Errorf("%s %v: %+v", op, errno, again)
				}
				if again.After.Membership != "/init" {
					s.untouched(again)
				}
			}
		}
	}
}

// A supervisor in the host's cgroup namespace starts dockerd by --exec, and does so
// again after dockerd has ended.
func TestRunsOfASupervisorDoNotNest(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		for _, leaves := range [][2]string{{"init", "init"}, {"shim", "init"}, {"init", "shim"}} {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{setup}, Idle: true, Exec: []child{
				{Options: Options{Anywhere: true, Leaf: leaves[0]}},
				{Options: Options{Anywhere: true, Leaf: leaves[1]}},
				{Options: Options{Anywhere: true, Leaf: leaves[1]}},
			}})
			s.leafName = leaves[0]
			for i, run := range out.Exec {
				if (run.State == Delegated) != (i > 0) || run.Err != "" || run.After.Membership != "/"+leaves[0] || !slices.Equal(run.After.Children, leaves[:1]) {
					t.Errorf("%s, %q: run %d: %q %s, own cgroup %s, children %q", setup, leaves, i+1, run.State, run.Err, run.After.Membership, run.After.Children)
				}
				if setup == "host" && run.After.Namespace != out.Exec[0].After.Namespace {
					t.Errorf("%s: run %d is in another cgroup namespace than the first", setup, i+1)
				}
			}
		}
	}
}

// A mount for a service in the container would also change the mounts of PID 1.
func TestAServiceOfTheContainerIsLeft(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{setup}, Idle: true, Exec: []child{{Setup: []string{"in a cgroup of its own"}, Options: Options{Anywhere: true}}}})
		if run := out.Exec[0]; run.State != NotOurs || !run.Skip {
			t.Errorf("%s: %+v", setup, run)
		}
		s.untouched(out.Exec[0])
	}
}

// After `unshare --pid` alone, PID 1 has the host's mounts.
func TestTheHostsMountsAreLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Bare: true, Idle: true})
	if out.State != Host || !out.Skip {
		t.Errorf("%+v", out)
	}
}

// If the runtime made the container's cgroup threaded, it cannot enable controllers for
// inner containers.
func TestThreadedContainerIsLeft(t *testing.T) {
	onVM(t)
	s := newSandbox(t).inside("pids")
	if err := os.WriteFile(s.dir+"/cgroup.type", []byte("threaded"), 0); err != nil {
		t.Fatal(err)
	}
	out := s.run(child{Setup: []string{"host"}})
	if out.State != Threaded || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// Kubernetes gives a privileged pod with hostUsers: false the host's cgroup
// namespace.
func TestUserNamespaceInTheHostsCgroupNamespaceIsLeft(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	out := s.run(child{Setup: []string{"host"}})
	if out.State != Undelegated || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// After unshare, no process can return into a namespace of another user namespace.
func TestDelegatedToAUserNamespaceInTheHostsCgroupNamespaceIsLeft(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	s.handOver()
	out := s.run(child{Setup: []string{"host"}})
	if out.State != HostView || !strings.HasPrefix(out.Err, "setns ") || !strings.Contains(out.Hint, "another user namespace") {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}
