package cgroup

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// At every moment a cgroup2 is at /sys/fs/cgroup. With the old mount API there is a
// moment without it, because a tmpfs has to go in between.
func TestMountIsNeverMissing(t *testing.T) {
	for name, c := range map[string]child{
		"beneath":      {Setup: []string{"host"}},
		"mounted over": {Setup: []string{"host"}, Faults: []fault{{Op: "umount", Errno: unix.EINVAL}}},
		"read-only":    {Setup: []string{"private", "read-only"}},
		"failing":      {Setup: []string{"host"}, Faults: []fault{{Op: "move_mount", Errno: unix.EINVAL}}},
	} {
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
		s := newSandbox(t)
		c.Command = []string{"/bin/ls", "/tmp/cgshim-peer"}
		out := s.run(c)
		s.delegated(out)
		// The peer still shows the whole hierarchy, whose root has no cgroup.type.
		if !strings.Contains(out.Output, s.name) || strings.Contains(out.Output, "cgroup.type") {
			t.Errorf("%q: the peer shows %q", c.Setup, out.Output)
		}
	}
}

func TestReadOnlyHostViewIsReplaced(t *testing.T) {
	for _, faults := range [][]fault{nil, {{Op: "fsopen", Errno: unix.ENOSYS}}} {
		s := newSandbox(t)
		s.delegated(s.run(child{Setup: []string{"host", "read-only"}, Faults: faults}))
	}
}

// A runtime has bound the container's cgroup in the host's cgroup namespace.
func TestMountOfTheOwnCgroupIsKept(t *testing.T) {
	for _, setup := range [][]string{{"host", "own"}, {"host", "own", "read-only"}} {
		s := newSandbox(t)
		out := s.run(child{Setup: setup})
		if out.State != HostView || len(out.After.Mounts) != len(out.Before.Mounts) {
			t.Errorf("%+v", out)
		}
		s.delegated(out)
	}
}

func TestSymbolicLinkIsLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "symlink"}})
	if out.State != Unavailable || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestMissingMountPointIsLeft(t *testing.T) {
	onVM(t) // a hybrid host is refused because of its v1 hierarchies
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}, Hide: "/sys"})
	if out.State != Unavailable || !strings.Contains(out.Reason, "does not exist") {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestUnreadableProcIsLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private"}, Hide: "/proc"})
	if out.State != Unavailable || !strings.Contains(out.Reason, "/proc/self/cgroup") {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// hostOptions returns the mount options of the hierarchy. They belong to the
// superblock, which all its mounts share.
func hostOptions(t *testing.T) string {
	t.Helper()
	for _, m := range parseMountinfo(readFile(t, "/proc/self/mountinfo")) {
		if m.Type == "cgroup2" && m.Point == hierarchy() {
			return m.Super
		}
	}
	t.Fatal("no cgroup2 is mounted")
	return ""
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The moved process is in a cgroup beside its namespace's root.
func TestMovedOutOfTheNamespaceIsLeft(t *testing.T) {
	s := newSandbox(t).inside()
	out := s.run(child{Setup: []string{"private", "moved out"}})
	if out.State != Outside || !out.Skip || !strings.Contains(out.Reason, "/../beside") {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestMountsBelowAreReported(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "sub-mount"}})
	s.delegated(out)
	if out.Report.Replaced || !slices.ContainsFunc(out.After.Mounts, func(m string) bool { return strings.Contains(m, "tmpfs") }) {
		t.Errorf("replaced %v, mounts %q", out.Report.Replaced, out.After.Mounts)
	}
}
