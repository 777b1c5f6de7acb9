package init

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

func children(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	return len(strings.Fields(string(data)))
}

// 10,000 orphans end at once, and SIGCHLD coalesces. The init reaps all of them and
// does not lose the status of the child.
func TestTenThousandOrphans(t *testing.T) {
	r := pid1(t, "--", lab.Probe(t), "orphans", "10000")
	hold, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	r.Stdin = hold
	r.Start(t)
	lab.Until(t, "the orphans to be left", func() bool { return r.Stdout.String() == "left\n" })
	lab.Until(t, "all orphans to be reaped", func() bool { return children(r.PID()) == 1 })
	write.Close()
	if status := r.Wait(t); status != 42 {
		t.Errorf("status %d, %q", status, r.Stderr.String())
	}
}

func TestStatusOfAQuickChildIsNeverLost(t *testing.T) {
	for i := range 1000 {
		want := i % 256
		r := pid1(t, "--", "sh", "-c", fmt.Sprintf("(true &); exit %d", want))
		if status := r.Do(t); status != want {
			t.Fatalf("run %d: %d, want %d: %q", i, status, want, r.Stderr.String())
		}
	}
}

func TestOrphansAreReapedWithoutPID1(t *testing.T) {
	lab.Root(t)
	r := lab.Run{Path: lab.Cgshim(t), Args: []string{"--", "sh", "-c", "(sleep 0.05 &); exec sleep 1000"}}
	r.Start(t)
	seen := false
	lab.Until(t, "the orphan to come and go", func() bool {
		n := children(r.PID())
		seen = seen || n == 2
		return seen && n == 1
	})
}

func TestPause(t *testing.T) {
	for _, sig := range []int{15, 2} {
		r := pid1(t, "--pause")
		r.Start(t)
		// A process enters the namespace and leaves an orphan there.
		lab.Until(t, "the pause to be ready", func() bool {
			dir, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", r.PID()))
			return dir == "/"
		})
		enter := lab.Run{Path: "/usr/bin/nsenter", Args: []string{"-p", "-t", strconv.Itoa(r.PID()), "sh", "-c", "(sleep 0.05 &)"}}
		if status := enter.Do(t); status != 0 {
			t.Fatal(enter.Stderr.String())
		}
		lab.Until(t, "the orphan to be reaped", func() bool { return children(r.PID()) == 0 })
		for _, ignored := range []int{1, 3, 10} {
			kill(t, r.PID(), ignored)
		}
		kill(t, r.PID(), sig)
		if status := r.Wait(t); status != 0 {
			t.Errorf("signal %d: %d, %q", sig, status, r.Stderr.String())
		}
	}
}

// An idle init does nothing at all. The kernel switches to none of its threads.
func TestIdle(t *testing.T) {
	idle := 20 * time.Second
	if v := os.Getenv("CGSHIM_IDLE"); v != "" {
		var err error
		if idle, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	r := pid1(t, "--", "sleep", "1000")
	r.Start(t)
	r.Child(t)
	switches := func() (n int) {
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.PID()))
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			for _, kind := range []string{"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"} {
				count, _ := strconv.Atoi(lab.Status(tid, kind))
				n += count
			}
		}
		return n
	}
	// The runtime's monitor thread goes to sleep some milliseconds after the main
	// thread. The main thread wakes up once more to return memory after the child has
	// run for a second.
	before := switches()
	lab.Until(t, "the init to settle", func() bool {
		time.Sleep(1500 * time.Millisecond)
		last := before
		before = switches()
		return before == last
	})
	time.Sleep(idle) // the measured time
	if after := switches(); after != before {
		t.Errorf("%d context switches in %v", after-before, idle)
	}
	t.Logf("%v idle: resident %s, threads %s", idle, lab.Status(r.PID(), "VmRSS"), lab.Status(r.PID(), "Threads"))
}
