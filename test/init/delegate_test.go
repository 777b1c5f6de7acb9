package init

import (
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// container is a cgroup for a container in the host's cgroup v2 hierarchy. The
// hierarchy is mounted at /sys/fs/cgroup, as in a privileged pod.
type container struct {
	t    *testing.T
	dir  string
	name string              // path in the hierarchy
	born syscall.SysProcAttr // makes a process start in the cgroup
}

func newContainer(t *testing.T) *container {
	t.Helper()
	lab.Root(t)
	dir := lab.Cgroup(t)
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close() })
	return &container{t, dir, path.Base(dir), syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL}}
}

func hierarchy() string {
	const top = "/sys/fs/cgroup"
	if _, err := os.Stat(top + "/unified"); err == nil { // a hybrid host
		return top + "/unified"
	}
	return top
}

// mounts returns a shell that makes the mounts of a container and then executes its
// arguments.
func mounts() string {
	return `mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs run /run && mount -t tmpfs shm /dev/shm && mount --bind ` + hierarchy() + ` /sys/fs/cgroup && `
}

// pid1 returns a command that runs as PID 1 of the container.
func (c *container) pid1(command ...string) *lab.Run {
	r := &lab.Run{Path: "/bin/sh", PID1: true, Attr: c.born}
	r.Attr.Cloneflags = syscall.CLONE_NEWNS
	r.Args = append([]string{"-c", mounts() + `exec "$0" "$@"`}, command...)
	return r
}

// busy runs cgshim as PID 1 in a cgroup of its own. A process of another PID namespace
// stays in that cgroup, so the kernel refuses to enable any controller.
func busy(t *testing.T, args ...string) *lab.Run {
	t.Helper()
	c := newContainer(t)
	foreign := exec.Command("sleep", "1000")
	foreign.SysProcAttr = &c.born
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = foreign.Process.Kill()
		_ = foreign.Wait()
	})
	return c.pid1(append([]string{lab.Cgshim(t)}, args...)...)
}

// A step fails. The mode decides whether the program starts all the same.
func TestAFailedDelegation(t *testing.T) {
	for mode, want := range map[string]struct {
		status int
		stdout string
	}{"auto": {7, "ran\n"}, "require": {125, ""}, "require-v2": {125, ""}} {
		r := busy(t, "--cgroup="+mode, "--cgroup-timeout=200ms", "--", "sh", "-c", "echo ran; exit 7")
		status := r.Do(t)
		said := r.Stderr.String()
		if status != want.status || r.Stdout.String() != want.stdout || !strings.Contains(said, "cgroup not delegated") ||
			!strings.Contains(said, "processes of other PID namespaces: 1") || !strings.Contains(said, "hint") || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: %d, %q, %q", mode, status, r.Stdout.String(), said)
		}
	}
}

// A stop of the container does not wait for a delegation that cannot succeed.
func TestStopSignalEndsTheRetry(t *testing.T) {
	r := busy(t, "--cgroup-timeout=1m", "--", "sleep", "1000")
	r.Start(t)
	lab.Until(t, "the retry", func() bool { // PID 1 is in the leaf by then
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(r.PID()) + "/cgroup")
		return strings.Contains(string(data), "/init\n")
	})
	began := time.Now()
	kill(t, r.PID(), 15)
	// The helper undoes its work, and the program starts and gets the signal. PID 1 would end a
	// helper that does not know of the signal, with the same status.
	if status := r.Wait(t); status != 143 || time.Since(began) > 20*time.Second || !strings.Contains(r.Stderr.String(), "cgroup not delegated") {
		t.Errorf("%d after %v, %q", status, time.Since(began), r.Stderr.String())
	}
}

// A process in a cgroup of the container's that no PID of its own PID namespace names is
// out of kill(2)'s reach. cgroup.kill ends it with the rest.
func TestDrainEndsTheInnerCgroups(t *testing.T) {
	c := newContainer(t)
	hold, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	defer write.Close()
	r := c.pid1(lab.Cgshim(t), "--cgroup=require", "--drain-timeout=200ms", "--", "sh", "-c",
		"mkdir /sys/fs/cgroup/inner; (trap '' TERM; echo ready; while :; do sleep 0.05; done) & read x; exit 6")
	r.Stdin = hold
	r.Start(t)
	t.Cleanup(func() {
		_ = r.Cmd.Process.Kill()
		lab.Until(t, "the inner cgroup to be removed", func() bool {
			err := syscall.Rmdir(c.dir + "/inner")
			return err == nil || err == syscall.ENOENT
		})
	})
	lab.Until(t, "the program", func() bool { return r.Stdout.String() == "ready\n" || dead(r.PID()) })
	other := exec.Command("sleep", "1000")
	other.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	if err := os.WriteFile(c.dir+"/inner/cgroup.procs", []byte(strconv.Itoa(other.Process.Pid)), 0); err != nil {
		t.Fatalf("%v, %q", err, r.Stderr.String())
	}
	write.Close()
	lab.Until(t, "the end", func() bool { return dead(r.PID()) })
	lab.Until(t, "the inner cgroup's process to end", func() bool { return dead(other.Process.Pid) })
	if status := r.Wait(t); status != 6 {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}
