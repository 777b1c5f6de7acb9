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
	// The pauses double to the longest one. Without them there are thousands of tries.
	if most := 20 + int(timeout/longest); out.Calls["write"] > most {
		t.Errorf("%d writes in %v, want at most %d", out.Calls["write"], timeout, most)
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
		t.Run(setup, func(t *testing.T) {
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
		})
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

func TestHalfDoneAttemptIsUndone(t *testing.T) {
	onVM(t)
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			s.delegated(s.run(child{Setup: []string{setup, "half-done"}}))
		})
	}
}

// A cgroup without a domain controller can enable threaded controllers while processes
// are in it. On the VM such a container has only pids.
func TestThreadedControllersAlone(t *testing.T) {
	onVM(t)
	for name, c := range map[string]child{
		"quiet":                {Setup: []string{"private"}},
		"full":                 {Setup: []string{"private", "sleepers"}},
		"a visitor comes in":   {Setup: []string{"private"}, Faults: []fault{{Op: "write", Nth: 2, Do: "visitor"}}},
		"a visitor is hidden":  {Setup: []string{"private", "visitor"}, Faults: []fault{{Op: "write", Nth: 2, Errno: lie}}},
		"after a half attempt": {Setup: []string{"private", "half-done"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t).inside("pids")
			out := s.run(c)
			s.delegated(out)
			if name == "a visitor comes in" && out.Report.Rounds < 2 {
				t.Errorf("%s: %d rounds", name, out.Report.Rounds)
			}
		})
	}
}

// The cgroup above takes a controller away between the read of the list and the write.
func TestControllerThatVanishes(t *testing.T) {
	controllers, vanishing := []string{"hugetlb"}, "hugetlb"
	if available(t, "pids") {
		controllers, vanishing = []string{"cpu", "hugetlb", "memory", "pids"}, "pids"
	}
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t).inside(controllers...)
			out := s.run(child{Setup: []string{setup}, Faults: []fault{{Op: "write", Nth: 2, Do: vanishing + " taken away"}}})
			s.delegated(out)
			if len(out.Missing) != 0 || slices.Contains(out.Report.Enabled, vanishing) {
				t.Errorf("missing %q, enabled %q", out.Missing, out.Report.Enabled)
			}
		})
	}
}

func TestOneControllerFails(t *testing.T) {
	onVM(t)
	for _, errno := range []syscall.Errno{unix.EINVAL, unix.ENOSPC, unix.ENOMEM, unix.ENOENT} {
		t.Run(errno.Error(), func(t *testing.T) {
			s := newSandbox(t)
			// Write 1 moves PID 1, write 2 enables all controllers, and write 3 the first
			// one alone.
			out := s.run(child{Setup: []string{"private"}, Faults: []fault{{Op: "write", Nth: 2, Errno: errno}, {Op: "write", Nth: 3, Errno: errno}}})
			s.delegatedWithout(out.Missing, out)
			if len(out.Missing) != 1 || len(strings.Fields(out.After.Enabled)) < 5 {
				t.Errorf("err %q, missing %q, enabled %q", out.Err, out.Missing, out.After.Enabled)
			}
		})
	}
}

func TestNoControllerCanBeEnabled(t *testing.T) {
	s := newSandbox(t)
	faults := []fault{{Op: "write", Nth: 2, Errno: unix.EINVAL}}
	for nth := range strings.Fields(readFile(t, s.dir+"/cgroup.controllers")) {
		faults = append(faults, fault{Op: "write", Nth: 3 + nth, Errno: unix.EINVAL})
	}
	out := s.run(child{Setup: []string{"private"}, Faults: faults})
	if !strings.HasPrefix(out.Err, "write "+subtreeControl) || !strings.HasSuffix(out.Err, unix.EINVAL.Error()) || out.Hint == "" {
		t.Errorf("err %q, hint %q", out.Err, out.Hint)
	}
	s.untouched(out)
}

// Before Linux 6.2 the kernel gives a thread all CPUs of its cpuset when cpuset is enabled.
func TestAffinityIsKept(t *testing.T) {
	onVM(t)
	for name, c := range map[string]child{
		"delegated":               {Setup: []string{"private", "sleepers", "bound to the first CPU"}},
		"in the view of the host": {Setup: []string{"host", "bound to the first CPU"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.Command = []string{"/bin/busybox", "grep", "Cpus_allowed_list", "/proc/self/status"}
			s := newSandbox(t)
			out := s.run(c)
			s.delegated(out)
			if len(out.Warned) > 0 || !strings.HasSuffix(out.Output, "\t0\n") {
				t.Errorf("%q, warnings %q", out.Output, out.Warned)
			}
		})
	}
}
