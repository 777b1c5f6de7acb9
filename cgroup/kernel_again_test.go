package cgroup

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSecondRunDoesNotNest(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{setup}, Twice: true})
			if out.Again != Delegated {
				t.Errorf("%s: second run is %q", setup, out.Again)
			}
			s.delegated(out)
			if !slices.Equal(out.After.Children, family("init")) {
				t.Errorf("children %q", out.After.Children)
			}
		})
	}
}

// A second container gets the same cgroup, with the leaf of the first container. The
// runtime disables the controllers, or it could not put a process into the cgroup.
func TestRestartInTheSameCgroup(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
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
		})
	}
}

// A supervisor in the host's cgroup namespace starts dockerd by --exec, and does so
// again after dockerd has ended.
func TestRunsOfASupervisorDoNotNest(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		for _, leaves := range [][2]string{{"init", "init"}, {"shim", "init"}, {"init", "shim"}} {
			t.Run(setup+", "+leaves[0]+" then "+leaves[1], func(t *testing.T) {
				s := newSandbox(t)
				out := s.run(child{Setup: []string{setup}, Idle: true, Exec: []child{
					{Options: Options{Anywhere: true, Leaf: leaves[0]}},
					{Options: Options{Anywhere: true, Leaf: leaves[1]}},
					{Options: Options{Anywhere: true, Leaf: leaves[1]}},
				}})
				s.leafName = leaves[0]
				for i, run := range out.Exec {
					if (run.State == Delegated) != (i > 0) || run.Err != "" || run.After.Membership != "/"+leaves[0] || !slices.Equal(run.After.Children, family(leaves[0])) {
						t.Errorf("%s, %q: run %d: %q %s, own cgroup %s, children %q", setup, leaves, i+1, run.State, run.Err, run.After.Membership, run.After.Children)
					}
					if setup == "host" && run.After.Namespace != out.Exec[0].After.Namespace {
						t.Errorf("%s: run %d is in another cgroup namespace than the first", setup, i+1)
					}
				}
			})
		}
	}
}

// A supervisor stops dockerd and starts it again while the first run is still setting
// up.
func TestRunsAtOnce(t *testing.T) {
	for _, setup := range [][]string{{"private"}, {"host"}, {"host", "read-only run"}} {
		t.Run(strings.Join(setup, ", "), func(t *testing.T) {
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
		})
	}
}

func TestARunThatDoesNotEndIsWaitedForUntilTheDeadline(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "locked"}, SetUp: true, Options: Options{Timeout: 200 * time.Millisecond}})
	if !strings.HasPrefix(out.Err, `flock /run/cgshim "PID 1": `) || !strings.Contains(out.Hint, "--cgroup-timeout") {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	s.untouched(out)
}

func TestThePlanIsMadeUnderTheLock(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private"}, SetUp: true, Faults: []fault{{Op: "flock", Nth: 1, Do: "delegated meanwhile"}}})
	if out.State != Delegated || out.Calls["flock"] != 1 {
		t.Errorf("%q after %d locks", out.State, out.Calls["flock"])
	}
	s.delegated(out)
}

func TestWithoutALock(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOLCK, unix.ENOSYS} {
		t.Run(errno.Error(), func(t *testing.T) {
			s := newSandbox(t)
			s.delegated(s.run(child{Setup: []string{"host"}, SetUp: true, Faults: []fault{{Op: "flock", Errno: errno}}}))
		})
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
		t.Run(f.Op, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{"private"}, SetUp: true, Faults: []fault{f}})
			s.delegated(out)
		})
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
		{"init", []string{"host"}, nil, []string{"write", "unshare", "mkdir", "setxattr", "move_mount"}},
		{"shim", []string{"private"}, nil, []string{"write", "mkdir", "setxattr"}},
		{"init", []string{"host", "plain"}, noBeneath, []string{"mount", "move_mount", "setxattr", "umount"}},
	} {
		leaf := c.leaf
		run := child{SetUp: true, Options: Options{Anywhere: true, Leaf: leaf}, Faults: c.faults}
		s := newSandbox(t)
		calls := s.run(child{Setup: c.setup, Idle: true, Exec: []child{run}}).Exec[0].Calls
		s.remove()
		for _, op := range c.ops {
			t.Run(leaf+", "+strings.Join(c.setup, ", ")+", "+op, func(t *testing.T) {
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
			})
		}
	}
}

// Before Linux 5.7 a cgroup has no user attributes.
func TestTheNoteIsATrustedAttributeWhereThereAreNoOthers(t *testing.T) {
	s := newSandbox(t)
	run := child{SetUp: true, Options: Options{Anywhere: true, Leaf: "shim"}}
	old := run
	old.Faults = []fault{{Op: "setxattr", Nth: 1, Errno: unix.EOPNOTSUPP}}
	run.Options.Leaf = "init"
	out := s.run(child{Setup: []string{"private"}, Idle: true, Exec: []child{old, run}})
	s.leafName = "shim"
	s.once(out, "shim")
	if len(out.Exec[0].Warned) > 0 || out.Exec[0].Calls["setxattr"] != 2 || out.Exec[1].State != Delegated {
		t.Errorf("%q, %d calls, then %q", out.Exec[0].Warned, out.Exec[0].Calls["setxattr"], out.Exec[1].State)
	}
}

// The program of `docker run --init` acts as PID 1 would.
func TestBesideAnInit(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{setup}, Idle: true, Exec: []child{{SetUp: true}, {SetUp: true}}})
			s.once(out, "init")
			if out.Exec[1].State != Delegated {
				t.Errorf("%+v", out.Exec[1])
			}
		})
	}
}

// k3s and systemd move a program that cgshim became one cgroup deeper.
func TestAProgramThatMovesDeeper(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{setup}, Exec: []child{
				{Setup: []string{"deeper"}, SetUp: true, Options: Options{Anywhere: true}},
				{SetUp: true, Options: Options{Anywhere: true, OOMGroup: "0"}},
			}})
			s.delegated(out)
			for i, run := range out.Exec {
				if run.State != Delegated || run.Err != "" || run.After.Membership != "/init/init" || run.After.Namespace != out.After.Namespace ||
					!slices.Equal(run.After.Children, family("init")) || !slices.Equal(run.After.Mounts, out.After.Mounts) {
					t.Errorf("%s: run %d: %+v", setup, i+1, run)
				}
			}
		})
	}
}

// An inner container that shares the outer container's cgroup namespace is a container
// of its own. A delegation there writes nothing in the outer container's cgroup.
func TestAContainerInADelegatedOne(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{setup}, Inner: &child{Setup: []string{"host"}, SetUp: true}})
			s.delegated(out)
			inner := out.Inner
			if inner.State != HostView || inner.Err != "" || inner.After.Membership != "/init" || inner.Report.HostPath != "/inner" || !slices.Contains(inner.After.Leaf, "1") {
				t.Errorf("%s: %+v", setup, inner)
			}
			if got := childrenOf(t, s.dir+"/inner"); !slices.Equal(got, family("init")) || len(childrenOf(t, s.dir+"/init")) > 0 {
				t.Errorf("%s: %q", setup, got)
			}
		})
	}
}
