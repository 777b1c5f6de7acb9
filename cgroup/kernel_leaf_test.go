package cgroup

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLeafOfAnotherName(t *testing.T) {
	for _, leaf := range []string{"shim", "a leaf", "init.scope"} {
		t.Run(leaf, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{"host"}, Options: Options{Leaf: leaf}, Twice: true})
			s.delegated(out)
			if out.Again != Delegated || !slices.Equal(out.After.Children, family(leaf)) {
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
			if out.State != Interrupted || out.Again != Delegated || !slices.Equal(out.After.Children, family("init")) {
				t.Errorf("%q, then %q, children %q", out.State, out.Again, out.After.Children)
			}
			s.delegated(out)
		})
	}
}

// The whole name comes from the container's path, and every later run knows it.
func TestAutomaticLeaf(t *testing.T) {
	for _, path := range []string{"/" + idA, "/docker-" + idA + ".scope", "/crio-" + idA + ".scope", "/libpod-" + idA + ".scope", "/libpod-" + idA + ".scope/container"} {
		t.Run(path, func(t *testing.T) {
			s := newSandbox(t).named(path)
			out := s.run(child{Setup: []string{"host"}, Options: Options{Leaf: automaticLeaf}, Twice: true, Others: true, Exec: []child{
				{Options: Options{Leaf: automaticLeaf, Anywhere: true}},
				{Options: Options{Leaf: "init", Anywhere: true}},
			}})
			s.leafName = leafA
			s.delegated(out)
			if out.State != HostView || out.Again != Delegated || !slices.Equal(out.After.Children, family(leafA)) {
				t.Errorf("%q, then %q, children %q", out.State, out.Again, out.After.Children)
			}
			if !strings.Contains(out.Killed, "killed") {
				t.Errorf("the process of the inner container: %s", out.Killed)
			}
			for _, run := range out.Exec {
				if run.State != Delegated || run.Report.Outside || run.After.Membership != "/"+leafA {
					t.Errorf("%q, outside %v, own cgroup %s", run.State, run.Report.Outside, run.After.Membership)
				}
			}
		})
	}
}

// An exec that the runtime starts must come into a cgroup that may hold processes. runc
// and crun try the container's cgroup, and then take that of PID 1. Kata's agent takes
// the cgroup that is called init.
func TestAnExecFindsACgroupForItself(t *testing.T) {
	for _, leaf := range []string{"init", automaticLeaf} {
		t.Run(leaf, func(t *testing.T) {
			s := newSandbox(t).named("/" + idA)
			out := s.run(child{Setup: []string{"host"}, Options: Options{Leaf: leaf}, Enter: []string{"", leafA, "init", "spare"}})
			want := map[string]string{"": "device or resource busy", leafA: "entered", "init": "entered", "spare": "no such file or directory"}
			if leaf == "init" {
				want[leafA], want["spare"] = want["spare"], "entered"
			}
			if !maps.Equal(out.Entered, want) {
				t.Errorf("%s: %q", leaf, out.Entered)
			}
		})
	}
}

// The sibling takes no room that dockerd and its container need.
func TestNoRoomForASibling(t *testing.T) {
	for most, want := range map[string][]string{"3": {"init"}, "4": family("init"), "max": family("init")} {
		t.Run(most, func(t *testing.T) {
			s := newSandbox(t)
			s.set(map[string]string{"cgroup.max.descendants": most})
			out := s.run(child{Setup: []string{"private"}})
			s.delegated(out)
			if !slices.Equal(out.After.Children, want) || len(out.Warned) > 0 {
				t.Errorf("%s: children %q, %q", most, out.After.Children, out.Warned)
			}
		})
	}
}

func TestNoRoomForASiblingAbove(t *testing.T) {
	s := newSandbox(t).inside()
	if err := os.WriteFile(filepath.Dir(s.dir)+"/cgroup.max.descendants", []byte("3"), 0); err != nil {
		t.Fatal(err)
	}
	out := s.run(child{Setup: []string{"private"}})
	if out.Err != "" || !slices.Equal(out.After.Children, []string{"init"}) || len(out.Warned) > 0 {
		t.Errorf("%q, children %q, %q", out.Err, out.After.Children, out.Warned)
	}
}

// A failure removes a sibling that this run has made, and no other.
func TestTheSiblingIsUndone(t *testing.T) {
	for _, setup := range [][]string{{"private"}, {"private", "sibling of another"}} {
		s := newSandbox(t)
		s.occupy()
		out := s.run(child{Setup: setup, Options: Options{Timeout: 1}})
		if out.Err == "" {
			t.Errorf("%q: delegated", setup)
		}
		s.untouched(out)
		s.remove()
	}
}

func TestASiblingThatCannotBeMadeIsAWarning(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private"}, Faults: []fault{{Op: "mkdir", Nth: 2, Errno: unix.ENOMEM}}})
	s.delegated(out)
	if len(out.Warned) != 1 || !strings.HasPrefix(out.Warned[0], "mkdir "+mountPoint+"/spare: ") {
		t.Errorf("%q", out.Warned)
	}
}
