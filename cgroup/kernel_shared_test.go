package cgroup

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sharedSetups have a mount of the whole hierarchy whose holder has a peer in another
// mount namespace. The mount is a peer too, or private.
var sharedSetups = [][]string{
	{"host", "all shared with a host"},
	{"host", "/sys shared with a host"},
	{"host", "plain", "/sys shared with a host"},
	{"host", "plain", "/sys shared with a host", "private mount"},
	{"host", "plain", "/sys shared with a host", "read-only"},
}

// The cgroup is delegated, the old mount stays below the new one, and the peers see no
// change.
func TestASharedHolderDoesNotReachItsPeers(t *testing.T) {
	for _, setup := range sharedSetups {
		for _, c := range []child{
			{},
			{Faults: []fault{{Op: "fsopen", Errno: unix.ENOSYS}}},
			{Faults: []fault{{Op: "move_mount", Nth: 1, Errno: unix.EPERM}}},
		} {
			name := strings.Join(setup, ", ")
			if len(c.Faults) > 0 {
				name += ", no " + c.Faults[0].Op
			}
			t.Run(name, func(t *testing.T) {
				s := newSandbox(t)
				c.Setup = setup
				out := s.run(c)
				s.delegated(out)
				s.hostUnchanged(out)
				if len(out.After.Mounts) <= len(out.Before.Mounts) || out.Report.Replaced {
					t.Errorf("replaced %v, mounts %q", out.Report.Replaced, out.After.Mounts)
				}
			})
		}
	}
}

// A set-up that fails after each of its mounts also leaves the peers alone.
func TestAFailureUnderASharedHolderDoesNotReachItsPeers(t *testing.T) {
	for _, setup := range sharedSetups {
		for _, f := range [][]fault{
			{{Op: "move_mount", Errno: unix.ENOSPC}},
			{{Op: "fsopen", Errno: unix.ENOSYS}, {Op: "mount", Nth: 2, Errno: unix.ENOSPC}},
			{{Op: "fsopen", Errno: unix.ENOSYS}, {Op: "mount", Nth: 3, Errno: unix.ENOSPC}},
			{{Op: "write", Errno: unix.EPERM}},
		} {
			t.Run(strings.Join(setup, ", ")+", "+f[len(f)-1].Op, func(t *testing.T) {
				s := newSandbox(t)
				out := s.run(child{Setup: setup, Faults: f})
				s.hostUnchanged(out)
				if out.Err != "" {
					s.untouched(out)
				}
			})
		}
	}
}

// A run beside another PID 1 keeps its namespace by a mount in /run, which would reach
// the peers of /run.
func TestNoNamespaceIsKeptInASharedRun(t *testing.T) {
	for setup, kept := range map[string]bool{"all shared with a host": false, "/sys shared with a host": true} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{"host", setup}, Idle: true, Exec: []child{{Options: Options{Anywhere: true}}}})
			run := out.Exec[0]
			if run.Err != "" || !run.Report.Delegated || (len(run.Warned) == 0) != kept || !kept && !strings.Contains(run.Warned[0], "is shared, so") {
				t.Errorf("%+v", run)
			}
			s.hostUnchanged(out)
		})
	}
}

// This is why the old mount stays: its removal, which is a step of the usual wrappers,
// removes the peer's mount as well.
func TestAnUmountUnderASharedHolderReachesItsPeers(t *testing.T) {
	for _, setup := range []string{"all shared with a host", "/sys shared with a host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{"host", setup, "unmounted"}, Idle: true})
			if out.Host[0] == out.Host[1] || strings.Count(out.Host[0], " "+mountPoint+" ") != strings.Count(out.Host[1], " "+mountPoint+" ")+1 {
				t.Errorf("the peer had\n%s\nand has\n%s", out.Host[0], out.Host[1])
			}
		})
	}
}

func (s *sandbox) hostUnchanged(out outcome) {
	s.t.Helper()
	if out.Host[0] == "" || out.Host[0] != out.Host[1] {
		s.t.Errorf("the mounts of the peer were\n%s\nand are\n%s", out.Host[0], out.Host[1])
	}
}
