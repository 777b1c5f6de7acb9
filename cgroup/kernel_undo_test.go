package cgroup

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Undo changes nothing where no run of cgshim was killed. TestEveryPointOfARunIsTakenUp
// has the other cases.
func TestUndoOfNothing(t *testing.T) {
	for _, setup := range [][]string{
		{"private"},
		{"private", "read-only"},
		{"private", "unprivileged"},
		{"host"},
		{"host", "read-only"},
		{"host", "unshared"},
		{"host", "own"},
		{"private", "leaf of another", "leaf is used"},
		{"host", "leaf of another", "leaf is used"},
		{"host", "symlink"},
		{"hybrid"},
		{"host", "plain", "/sys shared with a host"},
	} {
		t.Run(strings.Join(setup, ", "), func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: setup, Then: "undo"})
			if out.Err != "" {
				t.Error(out.Err)
			}
			s.untouched(out)
		})
	}
}

func TestUndoOfAWholeDelegation(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{setup}, Exec: []child{{Then: "undo", Options: Options{Anywhere: true}}}})
			if run := out.Exec[0]; run.Err != "" || !slices.Equal(out.End.Leaf[:1], []string{"1"}) || out.End.Enabled == "" {
				t.Errorf("%s: %+v", run.Err, out.End)
			}
			s.delegated(out)
		})
	}
}

// A container whose cgroup has the name of a leaf is not taken for one that was begun: its
// processes would leave the container.
func TestUndoInAContainerWithTheNameOfALeaf(t *testing.T) {
	pod := newSandbox(t).inside("hugetlb")
	s := *pod
	s.name, s.dir = strings.TrimSuffix(s.name, "ctr")+"init", strings.TrimSuffix(s.dir, "ctr")+"init"
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out := s.run(child{Setup: []string{"host"}, Then: "undo"})
	if out.Err != "" {
		t.Error(out.Err)
	}
	s.untouched(out)
}

// What cannot be taken back is an error that names the call.
func TestUndoThatFails(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "in the leaf"}, Then: "undo", Faults: []fault{{Op: "write", Nth: 1, Errno: 13}}})
	if !strings.HasPrefix(out.Err, "write cgroup.procs") || out.Hint == "" {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
}
