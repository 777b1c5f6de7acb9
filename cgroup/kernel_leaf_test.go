package cgroup

import (
	"slices"
	"strings"
	"testing"
)

func TestLeafOfAnotherName(t *testing.T) {
	for _, leaf := range []string{"shim", "a leaf", "init.scope"} {
		t.Run(leaf, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{"host"}, Options: Options{Leaf: leaf}, Twice: true})
			s.delegated(out)
			if out.Again != Delegated || !slices.Equal(out.After.Children, []string{leaf}) {
				t.Errorf("%s: second run is %q, children %q", leaf, out.Again, out.After.Children)
			}
		})
	}
}

func TestLeafThatExistsIsUsed(t *testing.T) {
	s := newSandbox(t)
	s.delegated(s.run(child{Setup: []string{"private", "leaf of another"}}))
}

func TestThreadedLeafIsAnError(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "threaded leaf"}})
	if !strings.HasPrefix(out.Err, `read init/cgroup.type "threaded": `) || out.Hint == "" {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	s.untouched(out)
}

func TestLeafThatIsAFileIsAnError(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private"}, Options: Options{Leaf: "cgroup.stat"}})
	if !strings.Contains(out.Err, "cgroup.stat: not a directory") || !strings.Contains(out.Hint, "--cgroup-leaf") {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	s.untouched(out)
}

// The limit of a cgroup above is not visible in a private namespace.
func TestNoRoomForALeafIsAnError(t *testing.T) {
	for file, limit := range map[string]string{"cgroup.max.descendants": "2", "cgroup.max.depth": "1"} {
		t.Run(file, func(t *testing.T) {
			above := newSandbox(t)
			s := above.inside()
			above.set(map[string]string{file: limit})
			out := s.run(child{Setup: []string{"private"}})
			if !strings.Contains(out.Err, "mkdir") || !strings.Contains(out.Hint, file) {
				t.Errorf("err %q, hint %q", out.Err, out.Hint)
			}
			s.untouched(out)
		})
	}
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
		t.Run(strings.Join(setup, ", "), func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: setup, Twice: true})
			if out.State != Interrupted || out.Again != Delegated || !slices.Equal(out.After.Children, []string{"init"}) {
				t.Errorf("%q, then %q, children %q", out.State, out.Again, out.After.Children)
			}
			s.delegated(out)
		})
	}
}
