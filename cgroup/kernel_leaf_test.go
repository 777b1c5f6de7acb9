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

// Who was in the leaf before us stays there when we give up.
func TestUndoLeavesTheLeafsOwnProcesses(t *testing.T) {
	s := newSandbox(t)
	s.occupy()
	out := s.run(child{Setup: []string{"private", "leaf of another", "leaf is used"}, Options: Options{Timeout: 1}})
	if out.Err == "" || len(out.Before.Leaf) != 1 {
		t.Errorf("err %q, leaf %q", out.Err, out.Before.Leaf)
	}
	s.untouched(out)
}

// A delegation that somebody began inside the container is finished, not begun
// anew one level down.
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

func TestUnfinishedThreadedDelegationIsTakenUp(t *testing.T) {
	onVM(t)
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "in the leaf", "visitor", "half-done"}})
	if out.State != Interrupted || out.Before.Type != "domain threaded" {
		t.Errorf("%q, type %q", out.State, out.Before.Type)
	}
	s.delegated(out)
}

// The same cgroup again, with the leaf that the first container left. The runtime
// disables the controllers, or it could not put a process in.
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

// runc's exec in a container that was started in the host's cgroup namespace is in
// that namespace, and in the leaf.
func TestExecJoinsTheNamespaceOfPID1(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{setup}, Exec: &child{Options: Options{Anywhere: true}}})
		s.delegated(out)
		again := out.Exec
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

func TestFailedJoinLeavesTheNamespace(t *testing.T) {
	for op, count := range map[string]int{"setns": 1, "open": 3, "read": 1} {
		for nth := 1; nth <= count; nth++ {
			for _, errno := range errnos[op] {
				s := newSandbox(t)
				out := s.run(child{Setup: []string{"host"}, Exec: &child{Options: Options{Anywhere: true}, Faults: []fault{{Op: op, Nth: nth, Errno: errno}}}})
				s.delegated(out)
				if again := *out.Exec; again.Err != "" {
					s.untouched(again)
					explained(t, again, op, errno)
				} else if again.After.Membership != "/init" {
					t.Errorf("%s %v: own cgroup is %q", op, errno, again.After.Membership)
				}
			}
		}
	}
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
