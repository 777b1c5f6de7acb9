package reaper

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Next waits for any child, so each test runs in a process of its own. This process
// executes this test binary again.
const (
	helperEnv = "CGSHIM_TEST_HELPER"
	childEnv  = "CGSHIM_TEST_CHILD"
)

func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		child(how)
	}
	if name := os.Getenv(helperEnv); name != "" {
		helpers[name]()
		syscall.Exit(0) // os.Exit would print a warning in a binary with coverage
	}
	os.Exit(m.Run())
}

// child ends or stops as its argument says.
func child(how string) {
	var n int
	switch {
	case scan(how, "exit %d", &n):
		syscall.Exit(n)
	case scan(how, "signal %d", &n):
		sig := syscall.Signal(n)
		signal.Reset(sig)
		_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
		_ = unix.Kill(os.Getpid(), sig)
	case scan(how, "stop %d", &n):
		// A signal for the process may go to another thread, and this thread would exit
		// before it stops.
		runtime.LockOSThread()
		_ = unix.Tgkill(os.Getpid(), unix.Gettid(), syscall.Signal(n))
		syscall.Exit(3)
	}
	select {}
}

func scan(s, format string, n *int) bool {
	_, err := fmt.Sscanf(s, format, n)
	return err == nil
}

func start(how string) int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childEnv + "=" + how}
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	return cmd.Process.Pid
}

// await waits until a child has changed its state, and leaves the status
// (waitid(2), WNOWAIT).
func await(pid, what int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, what|unix.WNOWAIT, nil)
		if err == nil {
			return
		}
		if err != unix.EINTR {
			panic(err)
		}
	}
}

func helper(t *testing.T, name string) []string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperEnv + "=" + name}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func wants(t *testing.T, name string, want ...string) {
	t.Helper()
	if got := helper(t, name); !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// reapAll calls Next until no child has changed its state.
func reapAll(stops bool, fn func(Exit)) (left bool) {
	for {
		e, left := Next(stops)
		if e.PID <= 0 {
			return left
		}
		fn(e)
	}
}

var helpers = map[string]func(){
	"none": func() {
		fmt.Println("left:", reapAll(true, func(Exit) { fmt.Println("a child") }))
	},
	"ends": func() {
		for _, how := range []string{"exit 0", "exit 1", "exit 255", "signal 9", "signal 15"} {
			pid := start(how)
			await(pid, unix.WEXITED)
			n := 0
			left := reapAll(false, func(e Exit) {
				n++
				fmt.Printf("%s: its own PID %v, code %d, signaled %v", how, e.PID == pid, e.Code(), e.Signaled())
			})
			fmt.Printf(", %d time, left %v\n", n, left)
		}
	},
	"coalesced": func() {
		// One pending SIGCHLD stands for all the children.
		block(unix.SIGCHLD)
		var pids, got []int
		for range 20 {
			pids = append(pids, start("exit 5"))
		}
		for _, pid := range pids {
			await(pid, unix.WEXITED)
		}
		if errno := Refused(); errno != 0 { // it must reap none of them
			panic(errno)
		}
		left := reapAll(false, func(e Exit) { got = append(got, e.PID) })
		slices.Sort(got)
		slices.Sort(pids)
		fmt.Println("all of them:", slices.Equal(got, pids), "left:", left)
	},
	"lives": func() {
		pid := start("wait")
		fmt.Println("left:", reapAll(false, func(Exit) { fmt.Println("a child") }))
		_ = unix.Kill(pid, unix.SIGKILL)
		await(pid, unix.WEXITED)
		fmt.Println("left:", reapAll(false, func(e Exit) { fmt.Println("code", e.Code()) }))
	},
	"stops": func() {
		for _, stops := range []bool{false, true} {
			pid := start("stop 19")
			await(pid, unix.WSTOPPED)
			left := reapAll(stops, func(e Exit) {
				fmt.Println("stopped", e.Stopped(), "by", int(e.StopSignal()), "own PID", e.PID == pid)
			})
			fmt.Println("asked for:", stops, "left:", left)
			_ = unix.Kill(pid, unix.SIGCONT)
			await(pid, unix.WEXITED)
			fmt.Println("left:", reapAll(stops, func(e Exit) { fmt.Println("code", e.Code()) }))
		}
	},
	"one": func() {
		other, pid := start("exit 2"), start("stop 19")
		await(other, unix.WEXITED)
		await(pid, unix.WSTOPPED)
		report := func(name string, e Exit, errno syscall.Errno) {
			fmt.Printf("%s: own PID %v, stopped %v, code %d, errno %d\n", name, e.PID == pid, e.Stopped(), e.Code(), int(errno))
		}
		tell := func(name string, wait func(int) (Exit, syscall.Errno)) {
			e, errno := wait(pid)
			report(name, e, errno)
		}
		tell("stopped", Look)
		tell("told once", Look)
		_ = unix.Kill(pid, unix.SIGCONT)
		tell("ended", Await)
		tell("no child", Await)
		tell("no child", Look)
		pid = other
		tell("the other is left", Look)
	},
	"gone": func() {
		pid := start("wait")
		fmt.Println("it lives:", Gone(pid))
		_ = unix.Kill(pid, unix.SIGKILL)
		await(pid, unix.WEXITED)
		fmt.Println("it has ended:", Gone(pid))
		fmt.Println("it is no child:", Gone(pid))
	},
	"silent": func() {
		// A child that sends another signal than SIGCHLD (clone(2)).
		pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGUSR1), 0, 0, 0, 0, 0)
		if pid == 0 {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, 4, 0, 0)
		}
		if errno != 0 {
			panic(errno)
		}
		if err := unix.Waitid(unix.P_PID, int(pid), nil, unix.WEXITED|unix.WNOWAIT|unix.WALL, nil); err != nil {
			panic(err)
		}
		e, left := Next(true)
		fmt.Println("Next: none", e.PID <= 0, "left", left)
		fmt.Println("Gone:", Gone(int(pid)), "reaped:", unix.Kill(int(pid), 0) == unix.ESRCH)
	},
	"pause": func() {
		early := start("exit 1") // before go-reap listens for SIGCHLD
		await(early, unix.WEXITED)
		Pause()
		gone := func(pid int) { // kill succeeds on a zombie, but not on a reaped process
			for deadline := time.Now().Add(20 * time.Second); unix.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					fmt.Println("a child is a zombie")
					return
				}
			}
		}
		gone(early) // the SIGCHLD of a later child would have it reaped too
		gone(start("exit 2"))
		fmt.Println("both are reaped")
	},
}

func block(sig syscall.Signal) {
	var set unix.Sigset_t
	set.Val[0] = 1 << (sig - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
		panic(err)
	}
}

func TestNext(t *testing.T) {
	t.Run("without a child it returns at once", func(t *testing.T) { wants(t, "none", "left: false") })
	t.Run("the status and the PID are the child's, once", func(t *testing.T) {
		wants(t, "ends",
			"exit 0: its own PID true, code 0, signaled false, 1 time, left false",
			"exit 1: its own PID true, code 1, signaled false, 1 time, left false",
			"exit 255: its own PID true, code 255, signaled false, 1 time, left false",
			"signal 9: its own PID true, code 137, signaled true, 1 time, left false",
			"signal 15: its own PID true, code 143, signaled true, 1 time, left false")
	})
	t.Run("all that one SIGCHLD stands for are reaped", func(t *testing.T) { wants(t, "coalesced", "all of them: true left: false") })
	t.Run("a child that lives is left, and not waited for", func(t *testing.T) {
		wants(t, "lives", "left: true", "code 137", "left: false")
	})
	t.Run("stops are told of where they are asked for", func(t *testing.T) {
		wants(t, "stops", "asked for: false left: true", "code 3", "left: false",
			"stopped true by 19 own PID true", "asked for: true left: true", "code 3", "left: false")
	})
}

func TestOneChild(t *testing.T) {
	t.Run("Look and Await tell of this child alone, of its stop and of its end", func(t *testing.T) {
		wants(t, "one",
			"stopped: own PID true, stopped true, code 19, errno 0",
			"told once: own PID false, stopped false, code 0, errno 0",
			"ended: own PID true, stopped false, code 3, errno 0",
			"no child: own PID false, stopped false, code 0, errno 10",
			"no child: own PID false, stopped false, code 0, errno 10",
			"the other is left: own PID true, stopped false, code 2, errno 0")
	})
	t.Run("Gone reaps a child that has ended, and waits for none", func(t *testing.T) {
		wants(t, "gone", "it lives: false", "it has ended: true", "it is no child: true")
	})
	t.Run("a child without a SIGCHLD is for Gone only", func(t *testing.T) {
		wants(t, "silent", "Next: none true left false", "Gone: true reaped: true")
	})
}

func TestPauseReaps(t *testing.T) { wants(t, "pause", "both are reaped") }

func TestNothingAllocates(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { Next(true); Look(1); Gone(1); Refused() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestExit(t *testing.T) {
	for status, want := range map[uint32]int{0: 0, 1 << 8: 1, 255 << 8: 255, 9: 137, 15: 143, 11 | 0x80: 139, 64: 192} {
		if got := (Exit{1, status}).Code(); got != want {
			t.Errorf("status %#x is %d, want %d", status, got, want)
		}
	}
	// The kernel's own macros, as package syscall has them, agree for every status.
	for status := range uint32(1 << 16) {
		e, w := Exit{1, status}, unix.WaitStatus(status)
		if e.Signaled() != w.Signaled() || e.Stopped() != w.Stopped() || w.Signaled() && (e.Signal() != w.Signal() || e.Core() != w.CoreDump()) ||
			w.Stopped() && e.StopSignal() != w.StopSignal() || w.Exited() && e.Code() != w.ExitStatus() {
			t.Fatalf("status %#x", status)
		}
	}
}
