package init

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cgshim/cgshim/test/internal/lab"
	"golang.org/x/sys/unix"
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
		t.Run(fmt.Sprintf("signal %d", sig), func(t *testing.T) {
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
		})
	}
}

// An idle init does nothing at all. It has one thread once the program has started, and
// nothing of Go's runtime is left that could wake it up.
func TestIdle(t *testing.T) {
	r := pid1(t, "--", "sleep", "1000")
	r.Start(t)
	r.Child(t)
	// The init wakes up once more, to copy its code after the child has run for a
	// moment. From then on no wait ends by itself, for as long as a test may look.
	var why string
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(why)
		}
	})
	lab.Until(t, "the init to settle", func() bool {
		before := contextSwitches(t, r.PID())
		time.Sleep(1500 * time.Millisecond)
		why = wakesUp(t, r.PID())
		return why == "" && contextSwitches(t, r.PID()) == before
	})
	if n := len(threads(t, r.PID())); n != 1 {
		t.Errorf("%d threads", n)
	}
	t.Logf("resident %s, threads %s", lab.Status(r.PID(), "VmRSS"), lab.Status(r.PID(), "Threads"))
}

func contextSwitches(t *testing.T, pid int) (n int) {
	for _, tid := range threads(t, pid) {
		for _, kind := range []string{"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"} {
			count, _ := strconv.Atoi(lab.Status(tid, kind))
			n += count
		}
	}
	return n
}

func threads(t *testing.T, pid int) (tids []int) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		tids = append(tids, tid)
	}
	return tids
}

// timeouts maps each system call that a thread may wait in to the argument that points
// to a struct timespec, which ends the wait. -1 means no time limit.
var timeouts = map[int]int{
	unix.SYS_RT_SIGTIMEDWAIT: 2, unix.SYS_FUTEX: 3, unix.SYS_PPOLL: 2, unix.SYS_NANOSLEEP: 0,
	unix.SYS_RT_SIGSUSPEND: -1, unix.SYS_WAIT4: -1, unix.SYS_WAITID: -1,
}

// wakesUp names a thread that will wake up within a year without an event, or "" if
// there is none. It looks at the system call that each thread waits in, and at the time
// limit (proc_pid_syscall(5)).
func wakesUp(t *testing.T, pid int) string {
	t.Helper()
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	for _, tid := range threads(t, pid) {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", pid, tid))
		if err != nil {
			return err.Error()
		}
		fields := strings.Fields(string(data))
		number, err := strconv.Atoi(fields[0])
		if err != nil {
			return fmt.Sprintf("thread %d is %s", tid, fields[0])
		}
		argument, known := timeouts[number]
		if !known {
			return fmt.Sprintf("thread %d is in system call %d", tid, number)
		}
		if argument < 0 {
			continue
		}
		address, _ := strconv.ParseInt(fields[1+argument], 0, 64)
		if address == 0 {
			continue
		}
		var limit unix.Timespec
		if _, err := memory.ReadAt((*[unsafe.Sizeof(limit)]byte)(unsafe.Pointer(&limit))[:], address); err != nil {
			return err.Error()
		}
		if limit.Sec < 365*24*3600 {
			return fmt.Sprintf("thread %d wakes up after %d s in system call %d", tid, limit.Sec, number)
		}
	}
	return ""
}
