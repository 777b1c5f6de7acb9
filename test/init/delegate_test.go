package init

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// busy is cgshim as PID 1 in a cgroup of its own, with a process of another PID
// namespace that does not leave it: no controller can be enabled.
func busy(t *testing.T, args ...string) *lab.Run {
	t.Helper()
	lab.Root(t)
	top := "/sys/fs/cgroup"
	if _, err := os.Stat(top + "/unified"); err == nil { // a hybrid host
		top += "/unified"
	}
	controllers, err := os.ReadFile(top + "/cgroup.controllers")
	lab.Need(t, err == nil && len(controllers) > 1, "a cgroup2 hierarchy with a controller")
	enabled, err := os.ReadFile(top + "/cgroup.subtree_control")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(controllers)) {
		if slices.Contains(strings.Fields(string(enabled)), name) {
			continue
		}
		if err := os.WriteFile(top+"/cgroup.subtree_control", []byte("+"+name), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.WriteFile(top+"/cgroup.subtree_control", []byte("-"+name), 0) })
	}
	dir, err := os.MkdirTemp(top, "cgshim-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lab.Until(t, "the test's cgroup to be removed", func() bool {
			_ = syscall.Rmdir(dir + "/init")
			return syscall.Rmdir(dir) == nil
		})
	})
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close() })
	born := syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL}
	foreign := exec.Command("sleep", "1000")
	foreign.SysProcAttr = &born
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = foreign.Process.Kill()
		_ = foreign.Wait()
	})
	r := &lab.Run{Path: "/bin/sh", PID1: true, Attr: born}
	r.Attr.Cloneflags = syscall.CLONE_NEWNS
	r.Args = append([]string{"-c", `mount --make-rprivate / && mount -t proc proc /proc && mount --bind ` + top + ` /sys/fs/cgroup && exec "$0" "$@"`, lab.Cgshim(t)}, args...)
	return r
}

// A step that fails: the program is started all the same, or not at all.
func TestAFailedDelegation(t *testing.T) {
	for mode, want := range map[string]struct {
		status int
		stdout string
	}{"auto": {7, "ran\n"}, "require": {125, ""}} {
		r := busy(t, "--cgroup="+mode, "--cgroup-timeout=200ms", "--", "sh", "-c", "echo ran; exit 7")
		status := r.Do(t)
		said := r.Stderr.String()
		if status != want.status || r.Stdout.String() != want.stdout || !strings.Contains(said, "cgroup not delegated") ||
			!strings.Contains(said, "processes of other PID namespaces: 1") || !strings.Contains(said, "hint") || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: %d, %q, %q", mode, status, r.Stdout.String(), said)
		}
	}
}

// Who stops the container need not wait for a delegation that does not come.
func TestStopSignalEndsTheRetry(t *testing.T) {
	r := busy(t, "--cgroup-timeout=1m", "--", "sleep", "1000")
	r.Start(t)
	lab.Until(t, "the retry", func() bool { // PID 1 is in the leaf
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(r.PID()) + "/cgroup")
		return strings.Contains(string(data), "/init\n")
	})
	began := time.Now()
	kill(t, r.PID(), 15)
	if status := r.Wait(t); status != 143 || time.Since(began) > 20*time.Second {
		t.Errorf("%d after %v, %q", status, time.Since(began), r.Stderr.String())
	}
}
