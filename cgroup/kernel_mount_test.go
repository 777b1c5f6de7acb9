package cgroup

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mountAPIs are the faults that select each API to mount with.
var mountAPIs = map[string][]fault{"new mount API": nil, "old mount API": {{Op: "fsopen", Errno: unix.ENOSYS}}}

// No mount stays hidden below the new mount, where a later umount would uncover it.
func TestOldMountIsReplaced(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}})
	s.delegated(out)
	count := 0
	for _, m := range out.After.Mounts {
		if strings.Fields(m)[2] == mountPoint && strings.Fields(m)[3] == "cgroup2" {
			count++
		}
	}
	if count != 1 || !out.Report.Replaced {
		t.Errorf("%d cgroup2 mounts, replaced %v: %q", count, out.Report.Replaced, out.After.Mounts)
	}
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

func TestWithoutBeneathItIsMountedOver(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}, Faults: []fault{{Op: "move_mount", Nth: 1, Errno: unix.EINVAL}}})
	s.delegated(out)
}

func TestALockedOldMountIsMountedOver(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}, Faults: []fault{{Op: "umount", Nth: 1, Errno: unix.EINVAL}}})
	s.delegated(out)
}

func TestWithoutTheNewMountAPI(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.ENOSYS, unix.EPERM} {
		for _, setup := range []string{"host", "unshared"} {
			t.Run(setup+", "+errno.Error(), func(t *testing.T) {
				s := newSandbox(t)
				c := child{Setup: []string{"host"}, Faults: []fault{{Op: "fsopen", Errno: errno}}}
				if setup != "host" {
					c.Setup = append(c.Setup, setup)
				}
				s.delegated(s.run(c))
			})
		}
	}
}

func TestUnderASeccompFilter(t *testing.T) {
	for _, filter := range []string{"seccomp ENOSYS", "seccomp EPERM"} {
		for _, setup := range [][]string{{"private"}, {"host"}, {"host", "unshared"}, {"host", "shared"}} {
			t.Run(filter+", "+strings.Join(setup, ", "), func(t *testing.T) {
				s := newSandbox(t)
				s.delegated(s.run(child{Setup: append(setup, filter)}))
			})
		}
	}
}

// At every moment a cgroup2 is at /sys/fs/cgroup. With the old mount API there is a
// moment without it, because a tmpfs has to go in between.
func TestMountIsNeverMissing(t *testing.T) {
	for name, c := range map[string]child{
		"beneath":      {Setup: []string{"host"}},
		"mounted over": {Setup: []string{"host"}, Faults: []fault{{Op: "umount", Errno: unix.EINVAL}}},
		"read-only":    {Setup: []string{"private", "read-only"}},
		"failing":      {Setup: []string{"host"}, Faults: []fault{{Op: "move_mount", Errno: unix.EINVAL}}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				s := newSandbox(t)
				c.Watch = true
				out := s.run(c)
				if name != "failing" {
					s.delegated(out)
				}
				if out.Gaps != 0 || out.Looks < 2 {
					t.Fatalf("%s: %d of %d looks saw no cgroup2", name, out.Gaps, out.Looks)
				}
				s.remove()
			}
		})
	}
}

func TestADescriptorInTheOldMountDoesNotPinIt(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "pinned"}})
	s.delegated(out)
}

func TestMountsBelowStayUntouched(t *testing.T) {
	s := newSandbox(t)
	s.delegated(s.run(child{Setup: []string{"host", "sub-mount"}}))
}

func TestMountsBelowAreReported(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "sub-mount"}})
	s.delegated(out)
	if out.Report.Replaced || !slices.ContainsFunc(out.After.Mounts, func(m string) bool { return strings.Contains(m, "tmpfs") }) {
		t.Errorf("replaced %v, mounts %q", out.Report.Replaced, out.After.Mounts)
	}
}

func TestReadOnlyMountIsMadeWritable(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "read-only"}, Command: []string{"/bin/sh", "-c", "cat /proc/self/mountinfo"}})
	s.delegated(out)
	if !strings.Contains(out.Output, " / "+mountPoint+" rw,nosuid,nodev,noexec,relatime ") {
		t.Errorf("the mount has lost flags:\n%s", out.Output)
	}
}

func TestWritableMountNeedsNoPrivilege(t *testing.T) {
	s := newSandbox(t)
	s.delegated(s.run(child{Setup: []string{"private", "unprivileged"}}))
}

func TestReadOnlyHostViewIsReplaced(t *testing.T) {
	for name, faults := range mountAPIs {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.delegated(s.run(child{Setup: []string{"host", "read-only"}, Faults: faults}))
		})
	}
}

// A runtime has bound the container's cgroup in the host's cgroup namespace.
func TestMountOfTheOwnCgroupIsKept(t *testing.T) {
	for _, setup := range [][]string{{"host", "own"}, {"host", "own", "read-only"}} {
		t.Run(strings.Join(setup, ", "), func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: setup})
			if out.State != HostView || len(out.After.Mounts) != len(out.Before.Mounts) {
				t.Errorf("%+v", out)
			}
			s.delegated(out)
		})
	}
}

func TestNotMountedIsMounted(t *testing.T) {
	onVM(t)
	for name, faults := range mountAPIs {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{"host", "unmounted"}, Faults: faults})
			if out.State != NotMounted {
				t.Errorf("%+v", out)
			}
			s.delegated(out)
		})
	}
}

func TestSharedMountDoesNotReachItsPeers(t *testing.T) {
	for _, c := range []child{
		{Setup: []string{"host", "shared"}},
		{Setup: []string{"host", "slave"}},
		{Setup: []string{"host", "shared"}, Faults: []fault{{Op: "fsopen", Errno: unix.ENOSYS}}},
		{Setup: []string{"host", "unshared", "shared"}, Faults: []fault{{Op: "fsopen", Errno: unix.ENOSYS}}},
		{Setup: []string{"host", "read-only", "shared"}, Faults: []fault{{Op: "fsopen", Errno: unix.ENOSYS}}},
	} {
		t.Run(fmt.Sprintf("%s, %d faults", strings.Join(c.Setup, ", "), len(c.Faults)), func(t *testing.T) {
			s := newSandbox(t)
			c.Command = []string{"/bin/ls", "/tmp/cgshim-peer"}
			out := s.run(c)
			s.delegated(out)
			// The peer still shows the whole hierarchy, whose root has no cgroup.type.
			if !strings.Contains(out.Output, s.name) || strings.Contains(out.Output, "cgroup.type") {
				t.Errorf("%q: the peer shows %q", c.Setup, out.Output)
			}
		})
	}
}

// If the thread mounted while it was still in the initial cgroup namespace, the damage
// to the host could not be undone. So the code checks the namespace and trusts no
// earlier step.
func TestNoMountFromTheInitialNamespace(t *testing.T) {
	before := setHostOptions(t)
	for name, faults := range mountAPIs {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{"host"}, Faults: append(slices.Clone(faults), fault{Op: "unshare", Nth: 1, Errno: lie})})
			if !strings.Contains(out.Err, "the initial cgroup namespace") {
				t.Errorf("%+v", out)
			}
			s.untouched(out)
		})
	}
	if after := hostOptions(t); after != before {
		t.Errorf("the host's mount options were %q, are %q", before, after)
	}
}

func TestHostKeepsItsMountOptions(t *testing.T) {
	before := setHostOptions(t)
	for _, setup := range [][]string{{"private"}, {"host"}, {"host", "unshared"}, {"host", "seccomp ENOSYS"}} {
		t.Run(strings.Join(setup, ", "), func(t *testing.T) {
			s := newSandbox(t)
			s.delegated(s.run(child{Setup: setup}))
			if after := hostOptions(t); after != before {
				t.Errorf("were %q, are %q", before, after)
			}
		})
	}
}

// setHostOptions sets the mount options that the hierarchy could lose, as systemd does,
// and returns all of them. A hybrid host has none of them.
func setHostOptions(t *testing.T) string {
	t.Helper()
	newSandbox(t) // skips the test if there is no hierarchy
	before := hostOptions(t)
	if strings.Contains(before, "nsdelegate") {
		return before
	}
	reconfigure := func(flags ...string) {
		t.Helper()
		fs, err := unix.Fspick(unix.AT_FDCWD, hierarchy(), unix.FSPICK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fs)
		for _, flag := range flags {
			if err := unix.FsconfigSetFlag(fs, flag); err != nil {
				t.Fatal(flag, err)
			}
		}
		if err := unix.FsconfigReconfigure(fs); err != nil {
			t.Fatal(err)
		}
	}
	reconfigure("nsdelegate")
	t.Cleanup(func() { reconfigure() })
	set := hostOptions(t)
	if !strings.Contains(set, "nsdelegate") {
		// The kernel ignores the options of any other namespace
		// (kernel/cgroup/cgroup.c, apply_cgroup_root_flags).
		t.Fatalf("the options are %q: this test needs the initial cgroup namespace", set)
	}
	return set
}

// hostOptions returns the mount options of the hierarchy. They belong to the
// superblock, which all its mounts share.
func hostOptions(t *testing.T) string {
	t.Helper()
	for _, m := range parseMountinfo(readFile(t, "/proc/self/mountinfo"), everywhere) {
		if m.Type == "cgroup2" && m.Point == hierarchy() {
			return m.Super
		}
	}
	t.Fatal("no cgroup2 is mounted")
	return ""
}
