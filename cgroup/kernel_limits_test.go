package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// limited is a container with every limit.
var limited = map[string]string{
	"cpu.max": "150000 100000", "memory.high": "96M", "memory.max": "128M", "pids.max": "500", "memory.oom.group": "1",
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

func TestLimitsAreMirrored(t *testing.T) {
	onVM(t)
	for _, setup := range []string{"private", "host"} {
		for what, same := range map[Mirror][]string{
			MirrorLimits:  {"cpu.max", "memory.high", "memory.max", "pids.max", oomGroupFile},
			MirrorNothing: nil,
		} {
			t.Run(fmt.Sprintf("%s, mirror %d", setup, what), func(t *testing.T) {
				s := newSandbox(t)
				s.set(limited)
				if s.value("cpu.max.burst") != "" { // Linux 5.14
					s.set(map[string]string{"cpu.max.burst": "20000"})
					if what != MirrorNothing {
						same = append(same, "cpu.max.burst")
					}
				}
				// Debian's cloud kernels account for swap even without a swap device.
				s.set(map[string]string{"memory.swap.max": "64M"})
				if what == MirrorLimits {
					same = append(same, "memory.swap.max")
				}
				out := s.run(child{
					Setup: []string{setup}, Options: Options{Mirror: what},
					Command: append([]string{"/bin/grep", "-H", ""}, inLeaf(same)...),
				})
				s.delegated(out)
				if len(out.Warned) > 0 {
					t.Errorf("%s: %s", setup, out.Warned)
				}
				for _, name := range same {
					if want := "/init/" + name + ":" + s.value(name) + "\n"; !strings.Contains(out.Output, want) {
						t.Errorf("%s, %d: no %q in %q", setup, what, want, out.Output)
					}
				}
				if got := out.Leaf["memory.max"]; what != MirrorLimits && got != "max" {
					t.Errorf("%s, %d: memory.max is %q", setup, what, got)
				}
			})
		}
	}
}

func inLeaf(names []string) (paths []string) {
	for _, name := range names {
		paths = append(paths, mountPoint+"/init/"+name)
	}
	return append(paths, "/dev/null")
}

// A container has only some controllers.
func TestMissingControllersAreNoError(t *testing.T) {
	onVM(t)
	for _, controllers := range [][]string{{"pids"}, {"cpu", "pids"}, {"memory"}} {
		t.Run(strings.Join(controllers, ", "), func(t *testing.T) {
			s := newSandbox(t).inside(controllers...)
			out := s.run(child{Setup: []string{"private"}})
			s.delegated(out)
			if len(out.Warned) > 0 {
				t.Errorf("%q: %s", controllers, out.Warned)
			}
		})
	}
}

// The host resizes the container in place, through its own mount. inotify tells PID 1,
// which copies each limit when it is raised, lowered and lifted, and keeps
// memory.oom.group.
func TestResizeIsFollowed(t *testing.T) {
	onVM(t)
	for _, setup := range []string{"private", "host"} {
		t.Run(setup, func(t *testing.T) {
			s := newSandbox(t)
			s.set(limited)
			cmd, dir := s.command(child{Setup: []string{setup}, Options: Options{Leaf: "init", OOMGroup: "0"}, Follow: true})
			defer dir.Close()
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			waitFor(t, "the child to follow", func() bool { return s.value("init/cgroup.max.depth") == "7" })
			for _, change := range []struct{ file, value, want string }{
				{"cpu.max", "300000 100000", ""},
				{"cpu.max", "50000 100000", ""},
				{"cpu.max", "max 100000", ""},
				{"memory.max", "256M", "268435456"},
				{"memory.high", "max", ""},
				{"memory.max", "112M", "117440512"},
				{"memory.max", "max", ""},
				{"memory.swap.max", "32M", "33554432"},
				{"pids.max", "max", ""},
				{"pids.max", "300", ""},
			} {
				s.set(map[string]string{change.file: change.value})
				want := change.want
				if want == "" {
					want = change.value
				}
				waitFor(t, setup+": "+change.file+" "+change.value, func() bool { return s.value("init/"+change.file) == want })
			}
			// Kubelet does this at each resize.
			for range 3 {
				s.set(map[string]string{oomGroupFile: "1"})
				waitFor(t, setup+": memory.oom.group", func() bool { return s.value(oomGroupFile) == "0" })
			}
			s.set(map[string]string{"pids.max": lastPIDs})
			if err := <-ended; err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			out := parse(t, stdout.Bytes())
			if out.Allocs["Update"] != 0 || out.Busy {
				t.Errorf("%s: %v allocations, events left: %v", setup, out.Allocs, out.Busy)
			}
			if got := s.value("init/" + oomGroupFile); got != "0" {
				t.Errorf("%s: the leaf's memory.oom.group is %q", setup, got)
			}
			s.remove()
		})
	}
}

// leafOf makes an empty leaf for mirroring, and opens the sandbox's cgroup.
func (s *sandbox) leafOf() (base int) {
	s.t.Helper()
	if err := os.Mkdir(s.dir+"/init", 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.set(map[string]string{subtreeControl: "+cpu +memory +pids"})
	base, err := unix.Open(s.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { unix.Close(base) })
	return base
}

func (m *mirror) failures() error {
	var errs []error
	for i := range m.files {
		errs = append(errs, m.files[i].failure("init"))
	}
	return errors.Join(errs...)
}

// The quota may not be below the burst, and the burst may not be above the quota.
func TestQuotaAndBurst(t *testing.T) {
	onVM(t)
	s := newSandbox(t)
	base := s.leafOf()
	if s.value("cpu.max.burst") == "" { // before Linux 5.14
		return
	}
	m := newMirror(MirrorLimits, "init")
	for _, step := range [][2]string{{"50000 100000", "40000"}, {"20000 100000", "10000"}, {"90000 100000", "80000"}, {"30000 100000", "0"}} {
		s.set(map[string]string{"cpu.max.burst": "0"})
		s.set(map[string]string{"cpu.max": step[0]})
		s.set(map[string]string{"cpu.max.burst": step[1]})
		m.copy(base)
		if quota, burst := s.value("init/cpu.max"), s.value("init/cpu.max.burst"); quota != step[0] || burst != step[1] || m.failures() != nil {
			t.Errorf("%q: %q and %q, %v", step, quota, burst, m.failures())
		}
	}
}

// The new limit is below the leaf's usage. The copy does not wait for memory that
// cannot be reclaimed, and it kills nothing.
func TestLimitBelowTheUse(t *testing.T) {
	onVM(t)
	s := newSandbox(t)
	base := s.leafOf()
	s.set(map[string]string{"memory.swap.max": "0"})
	dir, err := os.Open(s.dir + "/init")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	// Pages of a tmpfs stay charged to the leaf after the process that made them has
	// ended.
	const file = "/dev/shm/cgshim-test"
	dd := exec.Command("/bin/busybox", "dd", "if=/dev/zero", "of="+file, "bs=1M", "count=40")
	dd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if out, err := dd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer os.Remove(file)
	m := newMirror(MirrorLimits, "init")
	m.copy(base)
	for _, name := range []string{"memory.high", "memory.max"} {
		s.set(map[string]string{name: "20M"})
		m.copy(base)
		if got := s.value("init/" + name); got != "max" || m.failures() != nil {
			t.Errorf("%s is %q, %v", name, got, m.failures())
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the leaf to use less", func() bool {
		used, err := strconv.Atoi(s.value("init/memory.current"))
		return err == nil && used < 20<<20
	})
	m.copy(base)
	for _, name := range []string{"memory.high", "memory.max"} {
		if got := s.value("init/" + name); got != "20971520" {
			t.Errorf("%s is %q", name, got)
		}
	}
}
