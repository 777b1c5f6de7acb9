package cgroup

import (
	"fmt"
	"strings"
	"testing"
)

func TestPrivateNamespaceIsDelegated(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private"}})
	if out.State != Private || out.After.Namespace != out.Before.Namespace {
		t.Errorf("%+v", out)
	}
	s.delegated(out)
}

func TestHostViewIsUnsharedAndRemounted(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}})
	if out.State != HostView || out.After.Namespace == InitialCgroupNamespace {
		t.Errorf("%+v", out)
	}
	if want := "/" + s.name; out.Report.HostPath != want {
		t.Errorf("host path %q, want %q", out.Report.HostPath, want)
	}
	s.delegated(out)
}

func TestUnsharedIsRemounted(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "unshared"}})
	if out.After.Namespace != out.Before.Namespace {
		t.Error("unshared again")
	}
	s.delegated(out)
}

func TestStrangePaths(t *testing.T) {
	for _, suffix := range []string{" with blanks", ":with:colons", " (deleted)", `\040back`} {
		t.Run(suffix, func(t *testing.T) {
			s := newSandbox(t, suffix)
			out := s.run(child{Setup: []string{"host"}})
			if out.Report.HostPath != "/"+s.name {
				t.Errorf("host path %q", out.Report.HostPath)
			}
			s.delegated(out)
		})
	}
}

func TestUserNamespaceWithDelegation(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	s.handOver()
	s.delegated(s.run(child{Setup: []string{"userns"}}))
}

// LXC makes the group of a container's root the owner of the container's cgroup, and
// not root.
func TestDelegatedByGroup(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	s.handOverToGroup()
	s.delegated(s.run(child{Setup: []string{"userns"}}))
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

// A container was started in the host's cgroup namespace. runc starts an exec in that
// namespace and in the leaf.
func TestExecJoinsTheNamespaceOfPID1(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
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
		})
	}
}

// No process that is left in the leaf is in the namespace of PID 1.
func TestExecJoinsPID1ThatMovedDeeper(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}, Exec: []child{{Setup: []string{"PID 1 deeper"}, Options: Options{Anywhere: true}}}})
	s.delegated(out)
	if again := out.Exec[0]; again.State != Delegated || again.Report.Outside || again.After.Membership != "/init" || again.After.Namespace != out.After.Namespace {
		t.Errorf("%+v", again)
	}
}

// If the join fails, the process stays where it is, and the cgroup stays delegated.
func TestFailedJoinLeavesTheNamespace(t *testing.T) {
	for op, count := range map[string]int{"setns": 2, "open": 3, "read": 1} {
		for nth := 1; nth <= count; nth++ {
			for _, errno := range errnos[op] {
				t.Run(fmt.Sprint(op, " ", nth, " ", errno), func(t *testing.T) {
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
				})
			}
		}
	}
}

// On a read-only /run and /dev/shm the namespace cannot be kept. A process in the namespace will do.
func TestTheNamespaceIsFoundInAProcess(t *testing.T) {
	s := newSandbox(t)
	run := child{SetUp: true, Options: Options{Anywhere: true}}
	out := s.run(child{Setup: []string{"host", "read-only run", "read-only shm"}, Idle: true, Exec: []child{run, run}})
	// The first process has ended, so no process is in its namespace.
	if last := out.Exec[1]; last.State != Delegated || !last.Report.Outside || len(out.Exec[0].Warned) != 1 || len(last.Warned) != 1 {
		t.Errorf("%+v", last)
	} else if kept, missing := out.Exec[0].Warned[0], last.Warned[0]; !strings.Contains(kept, "/run/cgshim: read-only file system: make /run or /dev/shm writable") || !strings.Contains(missing, "this process stays in the host's cgroup namespace") {
		t.Errorf("%q, %q", kept, missing)
	}
	s.untouched(out.Exec[1])
}
