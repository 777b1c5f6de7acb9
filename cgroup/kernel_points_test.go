package cgroup

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// noBeneath is a kernel before Linux 6.5.
var noBeneath = fault{Op: "beneath", Errno: unix.EINVAL}

// A run is killed before each of its system calls. After the next run the container is
// as after a run that was not killed, with as many mounts. After Undo it is so too, or as
// before. CGSHIM_ALL_POINTS=1 tries all calls, otherwise a sample of those that change
// something.
func TestEveryPointOfARunIsTakenUp(t *testing.T) {
	for _, c := range []struct {
		leaf   string
		setup  []string
		faults []fault
	}{
		{"init", []string{"host"}, nil},
		{automaticLeaf, []string{"host"}, nil},
		{"shim", []string{"host", "plain"}, nil},
		{"init", []string{"host", "plain"}, []fault{noBeneath}},
		{"init", []string{"host", "plain", "/sys shared with a host"}, nil},
		{"init", []string{"host", "all shared with a host"}, nil},
		{"init", []string{"host"}, []fault{{Op: "fsopen", Errno: unix.ENOSYS}}},
		{"init", []string{"host", "read-only"}, nil},
		{"init", []string{"host", "read-only"}, []fault{{Op: "fsopen", Errno: unix.ENOSYS}}},
		{"init", []string{"private"}, nil},
		{"shim", []string{"private"}, nil},
		{"init", []string{"private", "read-only"}, nil},
	} {
		for _, helper := range []bool{false, true} {
			name := c.leaf + ", " + strings.Join(c.setup, ", ")
			if len(c.faults) > 0 {
				name += ", no " + c.faults[0].Op
			}
			if helper {
				name += ", helper of PID 1"
			}
			run := child{SetUp: true, Options: Options{Anywhere: true, Leaf: c.leaf}, Faults: c.faults}
			t.Run(name, func(t *testing.T) {
				p := pointsOf{t, c.setup, run, helper}
				pid1, whole := p.run(0, "")
				points := whole.Points.Changes
				if os.Getenv("CGSHIM_ALL_POINTS") != "" {
					points = points[:0]
					for n := range whole.Points.Count {
						points = append(points, n+1)
					}
				}
				t.Logf("%d points", len(points))
				nexts := []string{"again"}
				if helper {
					nexts = []string{"undo, again"}
					if len(c.faults) == 0 && c.leaf != automaticLeaf && !before65() { // else the new namespace hides where the old mount can be replaced, or the ID
						nexts = append(nexts, "again")
					}
				}
				for i, n := range points {
					if every := sample(); i%every != len(name)%every {
						continue
					}
					for _, again := range nexts {
						p.again(n, again, whole)
					}
					if helper || c.setup[0] == "host" || c.leaf == "shim" {
						p.undo(n, whole.Points.Noted, pid1) // else nothing is kept, and a process outside of the leaf cannot tell
					}
				}
			})
		}
	}
}

// sample says that every nth point is tried.
func sample() int {
	switch {
	case os.Getenv("CGSHIM_ALL_POINTS") != "":
		return 1
	case testing.Short(): // in a virtual machine
		return 18
	}
	return 5
}

// before65 reports whether the kernel has no MOVE_MOUNT_BENEATH.
func before65() bool {
	var u unix.Utsname
	must("uname", unix.Uname(&u))
	var major, minor int
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor)
	must("scan", err)
	return major < 6 || major == 6 && minor < 5
}

// pointsOf runs one case of TestEveryPointOfARunIsTakenUp.
type pointsOf struct {
	t      *testing.T
	setup  []string
	dying  child
	helper bool // a helper of PID 1 dies; otherwise a process that PID 1's supervisor has started
}

// run lets the run die before its nth call, and does then what is to be done next. It
// returns what PID 1 and the last run have seen.
func (p *pointsOf) run(nth int, then string) (pid1, last outcome) {
	dying := p.dying
	dying.Dies = nth
	s := newSandbox(p.t)
	defer s.remove()
	if p.dying.Options.Leaf == automaticLeaf {
		s = s.named("/" + idA)
	}
	if p.helper {
		dying.Setup, dying.Helper, dying.Then = p.setup, true, then
		pid1 = s.run(dying)
		return pid1, pid1
	}
	runs := []child{dying}
	if then != "" {
		next := p.dying
		next.Then = strings.Replace(then, "again", "", 1)
		runs = append(runs, next)
	}
	pid1 = s.run(child{Setup: p.setup, Idle: true, Options: p.dying.Options, Exec: []child{{Idle: true, Options: p.dying.Options, Exec: runs}}})
	runsOf := pid1.Exec[0].Exec
	if nth > 0 && !runsOf[0].Dead {
		p.t.Fatalf("call %d was not made", nth)
	}
	return pid1, runsOf[len(runsOf)-1]
}

func (p *pointsOf) again(nth int, again string, whole outcome) {
	p.t.Helper()
	_, got := p.run(nth, again)
	if got.State == Delegated && got.Report.Outside && slices.Contains(p.setup, "all shared with a host") {
		return // the namespace was not kept in the shared /run, and its only process was killed
	}
	if problem := differs(whole.After, got.After); problem != "" || got.Skip || got.Err != "" || got.Report.Outside {
		p.t.Errorf("killed before call %d, then %s: %s: %s %s%s", nth, again, problem, got.State, got.Reason, got.Err)
	}
}

func (p *pointsOf) undo(nth, noted int, whole outcome) {
	p.t.Helper()
	pid1, got := p.run(nth, "undo")
	if got.Err != "" {
		p.t.Errorf("killed before call %d, then undo: %s", nth, got.Err)
	}
	if nth <= noted { // a mount that the run has just made writable stays so
		for _, mounts := range [][]string{pid1.Before.Mounts, pid1.End.Mounts} {
			for i, m := range mounts {
				mounts[i] = strings.Replace(m, " true", " false", 1)
			}
		}
	}
	problem := differs(pid1.Before, pid1.End)
	delegated := differs(whole.End, pid1.End)
	if problem == "" && len(pid1.Kept) > 0 {
		problem = fmt.Sprintf("%q is left in %s", pid1.Kept, rooms[0])
	}
	if problem != "" && delegated != "" {
		p.t.Errorf("killed before call %d, then undo: neither as before: %s; nor delegated: %s", nth, problem, delegated)
	}
}

// differs returns how two views differ. It leaves out what differs in any case: numbers,
// and the place of a cgroup outside of the container.
func differs(a, b view) string {
	place := regexp.MustCompile(`/cgshim-test-[0-9-]*|/\.\.[/.]*`)
	plain := func(v view) string {
		var mounts []string
		for _, m := range v.Mounts {
			if _, m, _ = strings.Cut(m, " "); !strings.Contains(m, " cgroup ") { // v1 hierarchies
				mounts = append(mounts, m)
			}
		}
		s := fmt.Sprintf("in %s, on %s, %s, enabled %q, children %q, PID 1 in the leaf: %v", v.Membership, strings.Join(mounts, ", "), v.Type, v.Enabled, v.Children, slices.Contains(v.Leaf, "1"))
		return place.ReplaceAllString(s, "/CTR")
	}
	if plain(a) == plain(b) {
		return ""
	}
	return "want " + plain(a) + "; got " + plain(b)
}
