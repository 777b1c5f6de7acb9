package cgroup

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
			s := newSandbox(t)
			c := child{Setup: []string{"host"}, Faults: []fault{{Op: "fsopen", Errno: errno}}}
			if setup != "host" {
				c.Setup = append(c.Setup, setup)
			}
			s.delegated(s.run(c))
		}
	}
}

func TestUnderASeccompFilter(t *testing.T) {
	for _, filter := range []string{"seccomp ENOSYS", "seccomp EPERM"} {
		for _, setup := range [][]string{{"private"}, {"host"}, {"host", "unshared"}, {"host", "shared"}} {
			s := newSandbox(t)
			s.delegated(s.run(child{Setup: append(setup, filter)}))
		}
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

func TestSecondRunDoesNotNest(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		out := s.run(child{Setup: []string{setup}, Twice: true})
		if out.Again != Delegated {
			t.Errorf("%s: second run is %q", setup, out.Again)
		}
		s.delegated(out)
		if !slices.Equal(out.After.Children, []string{"init"}) {
			t.Errorf("children %q", out.After.Children)
		}
	}
}

func TestReadOnlyMountIsMadeWritable(t *testing.T) {
	s := newSandbox(t)
	s.delegated(s.run(child{Setup: []string{"private", "read-only"}}))
}

func TestReadOnlyMountWithoutPrivilegeIsLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "read-only", "unprivileged"}})
	if out.State != ReadOnly || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestWritableMountNeedsNoPrivilege(t *testing.T) {
	s := newSandbox(t)
	s.delegated(s.run(child{Setup: []string{"private", "unprivileged"}}))
}

func TestHostViewWithoutPrivilegeIsLeft(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "unprivileged"}})
	if out.State != Unprivileged || !out.Skip {
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

func TestSharedParentIsRefused(t *testing.T) {
	onVM(t) // on a hybrid host the mount above is the v1 tmpfs
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"host", "shared parent"}})
	if out.State != SharedMount || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestHybridIsLeft(t *testing.T) {
	if hierarchy() == mountPoint {
		t.Skip("not on a unified host: test-root runs it on a hybrid one")
	}
	s := newSandbox(t)
	out := s.run(child{})
	if out.State != Hybrid || !out.Skip {
		t.Errorf("%+v", out)
	}
	s.untouched(out)
}

func TestNotMountedIsMounted(t *testing.T) {
	onVM(t)
	for _, errno := range []syscall.Errno{0, unix.ENOSYS} {
		s := newSandbox(t)
		c := child{Setup: []string{"host", "unmounted"}}
		if errno != 0 {
			c.Faults = []fault{{Op: "fsopen", Errno: errno}}
		}
		out := s.run(c)
		if out.State != NotMounted {
			t.Errorf("%+v", out)
		}
		s.delegated(out)
	}
}

func TestHalfDoneAttemptIsUndone(t *testing.T) {
	onVM(t)
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		s.delegated(s.run(child{Setup: []string{setup, "half-done"}}))
	}
}

func TestLeafThatExistsIsUsed(t *testing.T) {
	s := newSandbox(t)
	s.delegated(s.run(child{Setup: []string{"private", "leaf of another"}}))
}

func TestThreadedLeafIsAnError(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "threaded leaf"}})
	if out.Err == "" || out.Hint == "" {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	s.untouched(out)
}

func TestNoRoomForALeafIsAnError(t *testing.T) {
	for _, file := range []string{"cgroup.max.descendants", "cgroup.max.depth"} {
		s := newSandbox(t)
		if err := os.WriteFile(s.dir+"/"+file, []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
		out := s.run(child{Setup: []string{"private"}})
		if !strings.Contains(out.Err, "mkdir") || !strings.Contains(out.Hint, file) {
			t.Errorf("err %q, hint %q", out.Err, out.Hint)
		}
		s.untouched(out)
	}
}

func TestStrangePaths(t *testing.T) {
	for _, suffix := range []string{" with blanks", ":with:colons", " (deleted)", `\040back`} {
		s := newSandbox(t, suffix)
		out := s.run(child{Setup: []string{"host"}})
		if out.Report.HostPath != "/"+s.name {
			t.Errorf("host path %q", out.Report.HostPath)
		}
		s.delegated(out)
	}
}

func TestManyProcessesAreMoved(t *testing.T) {
	s := newSandbox(t)
	out := s.run(child{Setup: []string{"private", "sleepers"}})
	s.delegated(out)
	if out.Report.Moved < 201 || len(out.After.Leaf) < 201 || len(out.After.Processes) != 0 {
		t.Errorf("moved %d, leaf %d, base %d", out.Report.Moved, len(out.After.Leaf), len(out.After.Processes))
	}
}

// The kernel shows a process of another PID namespace as 0. This process can neither
// name nor move it. The retry ends at its deadline and costs almost nothing until then.
// Afterwards everything is unchanged.
func TestForeignProcessEndsTheRetryAtItsDeadline(t *testing.T) {
	s := newSandbox(t)
	s.occupy()
	const timeout = 2 * time.Second
	start := time.Now()
	out := s.run(child{Setup: []string{"host"}, Options: Options{Timeout: timeout}})
	if elapsed := time.Since(start); elapsed < timeout {
		t.Errorf("gave up after %v", elapsed)
	}
	if !strings.Contains(out.Err, "processes of other PID namespaces: 1") || !strings.Contains(out.Err, subtreeControl) || out.Hint == "" {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	if out.CPU > timeout/4 {
		t.Errorf("%v of CPU time in %v", out.CPU, timeout)
	}
	s.untouched(out)
}

func TestForeignProcessThatLeavesIsWaitedFor(t *testing.T) {
	s := newSandbox(t)
	visitor := s.occupy()
	go func() {
		// Wait until the child has evacuated. Then PID 1 is in the leaf.
		for {
			if data, _ := os.ReadFile(s.dir + "/init/cgroup.procs"); len(data) > 0 {
				time.Sleep(500 * time.Millisecond) // until it has seen EBUSY a few times
				_ = visitor.Process.Kill()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	out := s.run(child{Setup: []string{"private"}})
	s.delegated(out)
	if out.Report.Foreign != 1 {
		t.Errorf("foreign %d", out.Report.Foreign)
	}
}

// Processes are cloned into the cgroup all the time, as exec probes do.
func TestExecRace(t *testing.T) {
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		dir, err := os.Open(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		stop, stopped, execs := make(chan struct{}), make(chan struct{}), 0
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
				}
				cmd := exec.Command("/bin/true")
				cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
				if cmd.Run() == nil { // EBUSY as soon as controllers are enabled
					execs++
				}
			}
		}()
		s.delegated(s.run(child{Setup: []string{setup}}))
		close(stop)
		<-stopped
		if execs == 0 {
			t.Error("no exec got in: the race was not run")
		}
	}
}

func TestEmptyButBusyIsRetried(t *testing.T) {
	s := newSandbox(t)
	// Linux 7.0 answers EBUSY while it hides exiting processes, although cgroup.procs
	// is empty. This fails writes 2 to 9, because the first write moves PID 1.
	var faults []fault
	for n := 2; n < 10; n++ {
		faults = append(faults, fault{Op: "write", Nth: n, Errno: unix.EBUSY})
	}
	out := s.run(child{Setup: []string{"private"}, Faults: faults})
	s.delegated(out)
	if out.Report.Rounds < 9 {
		t.Errorf("%d rounds", out.Report.Rounds)
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

func TestUserNamespaceWithDelegation(t *testing.T) {
	s := newSandbox(t)
	s.user = true
	s.handOver()
	s.delegated(s.run(child{Setup: []string{"userns"}}))
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

// A visible limit of a cgroup above holds too.
func TestEffectiveLimits(t *testing.T) {
	onVM(t)
	s := newSandbox(t).inside("cpu", "memory", "pids")
	for file, value := range map[string]string{
		"/cpu.max": "max", "/memory.max": "64M", "/pids.max": "100", "/memory.oom.group": "1",
		"/../cpu.max": "50000 100000", "/../memory.max": "96M", "/../pids.max": "50",
	} {
		if err := os.WriteFile(s.dir+file, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	for setup, want := range map[string]Limits{
		"host":    {CPU: "0.5", Memory: "67108864", PIDs: "50", OOMGroup: "1"},
		"private": {CPU: "max", Memory: "67108864", PIDs: "100", OOMGroup: "1"},
	} {
		out := s.run(child{Setup: []string{setup}, Idle: true})
		if out.Limits != want {
			t.Errorf("%s: %+v", setup, out.Limits)
		}
	}
}

func TestKillOthersSparesTheLeaf(t *testing.T) {
	s := newSandbox(t)
	if _, err := os.Stat(s.dir + "/cgroup.kill"); err != nil {
		onVM(t) // Linux 5.14
	}
	out := s.run(child{Setup: []string{"private"}, Others: true})
	s.delegated(out)
	if out.Killed != "signal: killed" || out.Allocs["KillOthers"] != 0 || out.Allocs["OOMKills"] != 0 {
		t.Errorf("it ended with %q, allocations %v", out.Killed, out.Allocs)
	}
}

func TestOOMKillsAreCounted(t *testing.T) {
	onVM(t)
	for _, setup := range []string{"private", "host"} {
		s := newSandbox(t)
		if err := os.WriteFile(s.dir+"/memory.max", []byte("64M"), 0); err != nil {
			t.Fatal(err)
		}
		// tail keeps the last line, and /dev/zero has but one.
		out := s.run(child{Setup: []string{setup}, Command: []string{"/bin/busybox", "tail", "/dev/zero"}})
		s.delegated(out)
		if !strings.Contains(out.Output, "signal: killed") || out.OOM != 1 {
			t.Errorf("%q, %d", out.Output, out.OOM)
		}
	}
}
