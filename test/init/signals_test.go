package init

import (
	"fmt"
	"math/rand/v2"
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

func kill(t *testing.T, pid int, sig int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.Signal(sig)); err != nil {
		t.Fatalf("kill -%d: %v", sig, err)
	}
}

// listening is an init whose child takes every signal and says so.
func listening(t *testing.T, r *lab.Run) *lab.Run {
	t.Helper()
	r.Args = append(r.Args, "--", lab.Probe(t), "signals")
	r.Start(t)
	lab.Until(t, "the child to listen", func() bool { return strings.HasPrefix(r.Stdout.String(), "ready\n") })
	return r
}

// heard ends the child and counts what it got. Signal 64 is the highest: the kernel
// hands it out after all others (signal(7)), to the init and to the child.
func heard(t *testing.T, r *lab.Run) map[int]int {
	t.Helper()
	kill(t, r.PID(), 64)
	if status := r.Wait(t); status != 0 {
		t.Fatalf("status %d, %q", status, r.Stderr.String())
	}
	counts := map[int]int{}
	for _, line := range strings.Fields(r.Stdout.String())[1:] {
		n, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		counts[n]++
	}
	return counts
}

// Each of the 64 numbers, sent to PID 1: what reaches the child is what tini
// forwards.
func TestSweepAgainstTini(t *testing.T) {
	lab.Root(t)
	lab.Need(t, lab.Status(1, "Pid") != "", "/proc")
	sweep := func(r *lab.Run) []int {
		listening(t, r)
		for sig := 1; sig < 64; sig++ {
			if sig != 9 && sig != 19 {
				kill(t, r.PID(), sig)
			}
		}
		counts := heard(t, r)
		var got []int
		for sig := range counts {
			got = append(got, sig)
		}
		slices.Sort(got)
		return got
	}
	tini := sweep(&lab.Run{Path: lab.Tini, PID1: true})
	own := sweep(pid1(t))
	if !slices.Equal(own, tini) {
		t.Errorf("cgshim forwards %v\ntini    forwards %v", own, tini)
	}
}

func TestRealTimeSignalsQueue(t *testing.T) {
	r := listening(t, pid1(t))
	for range 50 {
		for _, sig := range []int{34, 40, 63} {
			kill(t, r.PID(), sig)
		}
	}
	counts := heard(t, r)
	for _, sig := range []int{34, 40, 63} {
		if counts[sig] != 50 {
			t.Errorf("signal %d: %d of 50", sig, counts[sig])
		}
	}
}

// 100,000 mixed signals while orphans die: real-time signals arrive to the number,
// each standard signal at least once, and nothing that was not sent.
func TestSignalStorm(t *testing.T) {
	r := listening(t, pid1(t))
	orphans := exec.Command("nsenter", "-p", "-t", strconv.Itoa(r.PID()), "sh", "-c",
		"while :; do (sleep 0.001 &) ; done")
	orphans.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := orphans.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-orphans.Process.Pid, syscall.SIGKILL)
		_ = orphans.Wait()
	}()
	standard := []int{1, 2, 3, 10, 12, 13, 14, 15, 18, 20, 24, 25, 26, 27, 28, 29, 30}
	sent := map[int]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		sig := standard[random.IntN(len(standard))]
		if random.IntN(4) == 0 {
			sig = 35 + random.IntN(29)
		}
		// A full queue of the user's (RLIMIT_SIGPENDING) is EAGAIN: not sent.
		if err := syscall.Kill(r.PID(), syscall.Signal(sig)); err == nil {
			sent[sig]++
		} else if err != syscall.EAGAIN {
			t.Fatal(err)
		}
	}
	got := heard(t, r)
	for sig, n := range sent {
		if sig >= 34 && got[sig] != n || got[sig] == 0 || got[sig] > n {
			t.Errorf("signal %d: sent %d, arrived %d", sig, n, got[sig])
		}
	}
	for sig := range got {
		if sent[sig] == 0 && sig != 64 {
			t.Errorf("signal %d was not sent and arrived %d times", sig, got[sig])
		}
	}
}

// No fault signal that somebody sends ends PID 1, from inside or from outside.
func TestFaultSignalsDoNotEndPID1(t *testing.T) {
	r := pid1(t, "--", "sh", "-c", "for s in ILL TRAP ABRT BUS FPE SEGV SYS; do kill -$s 1; done; echo sent; read x; exit 9")
	hold, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	r.Stdin = hold
	r.Start(t)
	lab.Until(t, "the child to send", func() bool { return r.Stdout.String() == "sent\n" })
	for _, sig := range []int{4, 5, 6, 7, 8, 11, 31, 32, 33} {
		kill(t, r.PID(), sig)
	}
	write.Close()
	if status := r.Wait(t); status != 9 {
		t.Errorf("status %d, %q", status, r.Stderr.String())
	}
}

// A child that has become another user cannot be signalled (EPERM): tini exits.
func TestForwardThatIsNotPermitted(t *testing.T) {
	lab.Root(t)
	// Another user's init without capabilities, whose child is root again: a
	// setuid copy of the probe.
	probe := t.TempDir() + "/probe"
	data, err := os.ReadFile(lab.Probe(t))
	if err == nil {
		err = os.WriteFile(probe, data, 0o755)
	}
	if err == nil {
		err = os.Chmod(probe, 0o755|os.ModeSetuid)
	}
	for dir := probe; err == nil && dir != "/tmp" && len(dir) > 5; dir = dir[:strings.LastIndexByte(dir, '/')] {
		if dir != probe {
			err = os.Chmod(dir, 0o755)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	r := pid1(t, "--", probe, "signals")
	r.Attr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	r.Start(t)
	lab.Until(t, "the child to listen", func() bool { return r.Stdout.String() == "ready\n" })
	kill(t, r.PID(), 15)
	lab.Until(t, "the init to say so", func() bool { return strings.Contains(r.Stderr.String(), "operation not permitted") })
	kill(t, r.Child(t), 64)
	if status := r.Wait(t); status != 0 {
		t.Errorf("status %d, %q", status, r.Stderr.String())
	}
}

func TestKillGroup(t *testing.T) {
	for args, want := range map[string]int{"": 0, "-g": 1} {
		r := pid1(t)
		if args != "" {
			r.Args = append(r.Args, args)
		}
		dir := t.TempDir()
		r.Args = append(r.Args, "--", "sh", "-c", `trap : TERM; (trap "echo grandchild; exit" TERM; echo >`+dir+`/ready; while :; do sleep 0.01; done) & wait; wait; echo child; [ "$0" = sh ]; sleep 0.3`)
		r.Start(t)
		lab.Until(t, "the grandchild", func() bool { _, err := os.Stat(dir + "/ready"); return err == nil })
		kill(t, r.PID(), 15)
		if want == 0 {
			// The grandchild does not end by itself: end the namespace.
			lab.Until(t, "the child's trap", func() bool { return lab.Status(r.Child(t), "State") != "" })
			kill(t, r.PID(), 9)
			r.Wait(t)
		} else {
			r.Wait(t)
		}
		if got := strings.Count(r.Stdout.String(), "grandchild"); got != want {
			t.Errorf("%q: %q", args, r.Stdout.String())
		}
	}
}

func TestRewrite(t *testing.T) {
	r := listening(t, pid1(t, "-r", "TERM:QUIT,SIGHUP:0", "--rewrite=RTMIN+3:USR1"))
	for _, sig := range []int{1, 15, 37, 12} {
		kill(t, r.PID(), sig)
	}
	got := heard(t, r)
	delete(got, 64)
	if fmt.Sprint(got) != "map[3:1 10:1 12:1]" {
		t.Errorf("%v", got)
	}
}

// The window before an init has claimed its signals. In a C init that is the time
// to the first lines of main; in Go the runtime starts first. What is asserted is
// that it closes; how long it is, the log says.
func TestStartUpWindow(t *testing.T) {
	lab.Root(t)
	const tries = 200
	for path, args := range map[string][]string{lab.Tini: {"--"}, lab.Cgshim(t): {"--cgroup=off", "--"}} {
		ended := 0
		for i := range tries {
			r := lab.Run{Path: path, Args: append(slices.Clone(args), lab.Probe(t), "signals"), PID1: true}
			r.Start(t)
			time.Sleep(time.Duration(i) * 4 * time.Millisecond / tries) // the sweep itself
			_ = syscall.Kill(r.PID(), syscall.SIGTERM)
			alive := true
			lab.Until(t, "the child or the end", func() bool {
				alive = !strings.HasPrefix(lab.Status(r.PID(), "State"), "Z")
				return !alive || strings.HasPrefix(r.Stdout.String(), "ready")
			})
			if !alive {
				// 143 is the child's: it had the signal before it could take it.
				if status := r.Wait(t); status != 143 {
					ended++
				}
				continue
			}
			// From here on nothing ends it.
			for range 20 {
				kill(t, r.PID(), 15)
			}
			kill(t, r.PID(), 64)
			switch status := r.Wait(t); status {
			case 0:
			case 2: // of the first TERM: the thread that took it ends the process some time later
				ended++
			default:
				t.Fatalf("%s: %d after it was ready", path, status)
			}
		}
		t.Logf("%s: a TERM within 4 ms of the exec ended it %d times of %d", path, ended, tries)
	}
}
