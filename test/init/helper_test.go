package init

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// runs returns how often a test of a random moment runs: this number, or that of
// CGSHIM_MOMENTS.
func runs(t *testing.T, otherwise int) int {
	t.Helper()
	v := os.Getenv("CGSHIM_MOMENTS")
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// moment waits for a random time of the start. A sleep would be too long.
func moment(most time.Duration) time.Duration {
	d := time.Duration(rand.Int64N(int64(most)))
	for until := time.Now().Add(d); time.Now().Before(until); {
	}
	return d
}

// helperOf returns the child of PID 1 that has its binary, or 0.
func helperOf(pid int) int {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || !strings.HasSuffix(own, "cgshim") { // the shell of the container
		return 0
	}
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(data)) {
		if exe, err := os.Readlink("/proc/" + child + "/exe"); err == nil && exe == own {
			n, _ := strconv.Atoi(child)
			return n
		}
	}
	return 0
}

// findHelper waits for a helper, and returns 0 if the init ends without one.
func findHelper(pid int) int {
	for !dead(pid) {
		if helper := helperOf(pid); helper != 0 {
			return helper
		}
	}
	return 0
}

// The helper is killed at a random moment. Either the program has its status, or one line says
// why it did not start. Nothing is ever half delegated.
func TestAKilledHelper(t *testing.T) {
	for _, mode := range []string{"off", "auto", "require"} {
		seen := map[string]int{}
		for range runs(t, 20) {
			c := newContainer(t)
			r := c.pid1(lab.Cgshim(t), "--cgroup="+mode, "--", "sh", "-c", "cat /proc/self/cgroup; exit 7")
			r.Start(t)
			helper := findHelper(r.PID())
			moment(5 * time.Millisecond)
			if helper != 0 && helperOf(r.PID()) == helper {
				_ = syscall.Kill(helper, syscall.SIGKILL)
			}
			status, said := r.Wait(t), r.Stderr.String()
			killed := strings.Contains(said, "was killed by signal 9")
			leaf := strings.Contains(r.Stdout.String(), "0::/init\n")
			end := fmt.Sprintf("%d, killed %v, in the leaf %v", status, killed, leaf)
			seen[end]++
			switch {
			case !killed && status == 7 && leaf == (mode != "off"):
			case killed && status == 7 && mode != "require":
			case killed && status == 1 && r.Stdout.String() == "":
			case killed && status == 125 && mode == "require" && r.Stdout.String() == "":
			default:
				t.Errorf("--cgroup=%s: %s: %q, %q", mode, end, r.Stdout.String(), said)
			}
			if status == 7 && !leaf && mode != "off" {
				c.untouched()
			}
		}
		t.Logf("--cgroup=%s: %v", mode, seen)
	}
}

// A helper that hangs must not keep the init from ending. A tracer stops it here, as a file
// system that does not answer would.
func TestAHelperThatHangs(t *testing.T) {
	runtime.LockOSThread() // the tracer is a thread (ptrace(2))
	defer runtime.UnlockOSThread()
	for _, sig := range []int{1, 2, 3, 15} {
		r := busy(t, "--", "sleep", "1000") // its helper works for the time of --cgroup-timeout
		r.Start(t)
		helper := findHelper(r.PID())
		if err := unix.PtraceSeize(helper); err != nil {
			t.Fatal(helper, err, r.Stderr.String())
		}
		if err := unix.PtraceInterrupt(helper); err != nil {
			t.Fatal(err)
		}
		lab.Until(t, "the stop", func() bool { return strings.HasPrefix(lab.Status(helper, "State"), "t") })
		kill(t, r.PID(), sig)
		if sig == 1 { // no stop signal: it waits for the program
			lab.Until(t, "the signal to wait", func() bool { return lab.Status(r.PID(), "ShdPnd") == "0000000000000001" })
			kill(t, r.PID(), 15)
			sig = 15
		}
		began := time.Now()
		lab.Until(t, "the end of the helper", func() bool { return lab.Status(helper, "State")[0] == 'Z' || dead(r.PID()) })
		var status unix.WaitStatus
		for !status.Signaled() {
			if _, err := unix.Wait4(helper, &status, unix.WALL, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got, took := r.Wait(t), time.Since(began); got != 128+sig || took < 900*time.Millisecond || took > 5*time.Second {
			t.Errorf("signal %d: %d after %v, %q", sig, got, took, r.Stderr.String())
		}
	}
}

// Processes stop the helper again and again. PID 1 must continue it, and still see TERM.
func TestAHelperHeldUpWithoutEnd(t *testing.T) {
	r := busy(t, "--", "sleep", "1000")
	r.Start(t)
	helper := findHelper(r.PID())
	over := make(chan struct{})
	for range 2 {
		go func() {
			for {
				select {
				case <-over:
					return
				default:
					_ = syscall.Kill(helper, syscall.SIGSTOP)
				}
			}
		}()
	}
	defer close(over)
	lab.Until(t, "a stop", func() bool { return strings.HasPrefix(lab.Status(helper, "State"), "T") || helperOf(r.PID()) == 0 })
	kill(t, r.PID(), 15)
	began := time.Now()
	if got, took := r.Wait(t), time.Since(began); got != 143 || took > 5*time.Second {
		t.Errorf("%d after %v, %q", got, took, r.Stderr.String())
	}
}
