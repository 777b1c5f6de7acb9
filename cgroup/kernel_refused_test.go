package cgroup

import (
	"cmp"
	"os"
	"strings"
	"testing"
)

func TestHybridIsLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"hybrid"}})
	if out.State != Hybrid || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestRealRootIsLeft(t *testing.T) {
	s := newSandbox(t)
	top := *s
	top.dir = hierarchy() // the process starts in the root, and the sandbox's cgroup is only the witness
	out := top.run(child{Setup: []string{"host"}})
	if out.State != RealRoot || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// After `unshare --pid` alone, PID 1 has the host's mounts.
func TestTheHostsMountsAreLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Bare: true, Idle: true})
	if out.State != Host || !out.Skip {
		t.Errorf("%+v", out)
	}
}

func TestReadOnlyMountWithoutPrivilegeIsLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "read-only", "unprivileged"}})
	if out.State != ReadOnly || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestHostViewWithoutPrivilegeIsLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "unprivileged"}})
	if out.State != Unprivileged || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestNothingIsMountedOnASharedMount(t *testing.T) {
	onVM(t) // on a hybrid host the v1 tmpfs is mounted there
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "unmounted", "shared parent"}})
	if out.State != SharedMount || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
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

// The moved process is in a cgroup beside its namespace's root.
func TestMovedOutOfTheNamespaceIsLeft(t *testing.T) {
	s := newSandbox(t).inside()
	out := s.run(child{Setup: []string{"private", "moved out"}})
	if out.State != Outside || !out.Skip || !strings.Contains(out.Reason, "/../beside") {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// If the runtime made the container's cgroup threaded, it cannot enable controllers for
// inner containers.
func TestThreadedContainerIsLeft(t *testing.T) {
	onVM(t)
	s := newSandbox(t).inside("pids")
	if err := os.WriteFile(s.dir+"/cgroup.type", []byte("threaded"), 0); err != nil {
		t.Fatal(err)
	}
	out := s.run(child{Setup: []string{"host"}})
	if out.State != Threaded || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// A service is in a cgroup of its own, and acts only if it is asked to.
func TestAServiceDoesNotAct(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host"}, Idle: true, Exec: []child{{Setup: []string{"in a cgroup of its own"}, SetUp: true}}})
	if run := out.Exec[0]; run.State != NotInit || !run.Skip {
		t.Errorf("%+v", run)
	}
	s.untouched(out.Exec[0])
}

// A mount for a service in the container would also change the mounts of PID 1.
func TestAServiceOfTheContainerIsLeft(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			out := s.run(child{Setup: []string{setup}, Idle: true, Exec: []child{{Setup: []string{"in a cgroup of its own"}, Options: Options{Anywhere: true}}}})
			if run := out.Exec[0]; run.State != NotOurs || !run.Skip {
				t.Errorf("%s: %+v", setup, run)
			}
			s.untouched(out.Exec[0])
		})
	}
}

func TestUserNamespaceWithoutDelegationIsLeft(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	out := s.run(child{Setup: []string{"userns"}})
	if out.State != Undelegated || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// The mount of a user namespace without a cgroup of its own, which is the usual case.
func TestReadOnlyMountInAUserNamespaceIsLeft(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	out := s.run(child{Setup: []string{"userns", "read-only"}})
	if out.State != Undelegated || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

// A cgroup that this group may not write is not delegated.
func TestAGroupThatMayNotWriteIsLeft(t *testing.T) {
	for _, file := range []string{"", "/cgroup.procs", "/" + subtreeControl} {
		t.Run(cmp.Or(file, "the directory"), func(t *testing.T) {
			s := newSandbox(t)
			s.user = true
			s.handOverToGroup()
			if err := os.Chmod(s.dir+file, 0o755); err != nil {
				t.Fatal(err)
			}
			out := s.run(child{Setup: []string{"userns"}})
			if out.State != Undelegated || !out.Skip {
				t.Errorf("%q: %+v", file, out)
			}
			s.untouched(out)
		})
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
