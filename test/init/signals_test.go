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

	"github.com/google/go-cmp/cmp"

	"github.com/cgshim/cgshim/test/internal/lab"
)

func kill(t *testing.T, pid int, sig int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.Signal(sig)); err != nil {
		t.Fatalf("kill -%d: %v", sig, err)
	}
}

// listening returns an init whose child takes every signal and prints it.
func listening(t *testing.T, r *lab.Run) *lab.Run {
	t.Helper()
	r.Args = append(r.Args, "--", lab.Probe(t), "signals")
	r.Start(t)
	lab.Until(t, "the child to listen", func() bool { return strings.HasPrefix(r.Stdout.String(), "ready\n") })
	return r
}

// heard ends the child and counts the signals that the child got. Signal 64 is the
// highest, and the kernel delivers it after all others (signal(7)), to the init and to
// the child.
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

// marker is the highest signal but the one that ends the child. The kernel delivers the
// lowest signal first (signal(7)), to the init and to the child. So every signal that
// was sent before the marker arrives before it.
const marker = 63

// relayed sends sig to the init and returns what then reaches the child.
func relayed(t *testing.T, r *lab.Run, sig int) (got []string) {
	t.Helper()
	seen := len(r.Stdout.String())
	kill(t, r.PID(), sig)
	kill(t, r.PID(), marker)
	lab.Until(t, "the marker", func() bool {
		out := r.Stdout.String()[seen:]
		got = strings.Fields(out)
		return strings.HasSuffix(out, "\n") && slices.Contains(got, strconv.Itoa(marker)) || dead(r.PID())
	})
	return got
}

func dead(pid int) bool { return strings.HasPrefix(lab.Status(pid, "State"), "Z") }

// The test sends each of the 64 signals to PID 1 from outside. The child gets the
// signals that tini forwards. The test sends one after the other, because a stop signal
// discards a pending SIGCONT.
func TestSweepAgainstTini(t *testing.T) {
	lab.Root(t)
	sweep := func(r *lab.Run) (all [][]string) {
		listening(t, r)
		for sig := 1; sig < marker; sig++ {
			if sig != 9 && sig != 19 {
				all = append(all, append([]string{fmt.Sprintf("%d:", sig)}, relayed(t, r, sig)...))
			}
		}
		heard(t, r)
		return all
	}
	tini := sweep(&lab.Run{Path: lab.Tini, PID1: true})
	own := sweep(pid1(t))
	if diff := cmp.Diff(tini, own); diff != "" {
		t.Errorf("(-tini +cgshim)\n%s", diff)
	}
}

// If cgshim is not PID 1, it forwards the same signals. Fault signals end tini there,
// which leaves its child behind. They do nothing to cgshim.
func TestSweepWithoutPID1(t *testing.T) {
	lab.Root(t)
	for sig := 1; sig < marker; sig++ {
		switch sig {
		case 9, 19, 32, 33: // uncatchable, or reserved by the C library: they end tini too
			continue
		}
		r := listening(t, &lab.Run{Path: lab.Cgshim(t)})
		own := relayed(t, r, sig)
		heard(t, r)
		forwarded := []string{strconv.Itoa(sig), strconv.Itoa(marker)}
		switch sig {
		case 4, 5, 6, 7, 8, 11, 31, 17, 21, 22:
			forwarded = forwarded[1:]
		}
		if !slices.Equal(own, forwarded) {
			t.Errorf("signal %d: the child got %v, want %v", sig, own, forwarded)
		}
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

// The test sends 100,000 mixed signals while orphans die. Every real-time signal
// arrives, each standard signal arrives at least once, and no other signal arrives.
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
			sig = 34 + random.IntN(marker-34)
		}
		// EAGAIN: the user's queue is full (RLIMIT_SIGPENDING), and the signal was not
		// sent.
		if err := syscall.Kill(r.PID(), syscall.Signal(sig)); err == nil {
			sent[sig]++
		} else if err != syscall.EAGAIN {
			t.Fatal(err)
		}
	}
	// Send each standard signal once more after the storm. This one must arrive.
	lab.Until(t, "the storm to pass", func() bool {
		before := len(r.Stdout.String())
		relayed(t, r, marker)
		return len(r.Stdout.String())-before <= len("63\n63\n")
	})
	for _, sig := range standard {
		if last := relayed(t, r, sig); !slices.Contains(last, strconv.Itoa(sig)) {
			t.Errorf("signal %d after the storm: the child got %v", sig, last)
		}
		sent[sig]++
	}
	got := heard(t, r)
	delete(got, marker) // sent until it arrived
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

// No fault signal of a process ends PID 1, from inside or from outside.
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

// A child that has become another user cannot be signalled (EPERM), and tini exits.
func TestForwardThatIsNotPermitted(t *testing.T) {
	lab.Root(t)
	// The init runs as another user and without capabilities. Its child is root again,
	// by a setuid copy of the probe.
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
	for _, c := range []struct {
		args, env []string
		group     bool
	}{{nil, nil, false}, {[]string{"-g"}, nil, true}, {nil, []string{"TINI_KILL_PROCESS_GROUP="}, true}} {
		t.Run(fmt.Sprint(c.args, c.env), func(t *testing.T) {
			r := pid1(t, c.args...)
			dir := t.TempDir()
			r.Env = append(lab.Environ(), c.env...)
			r.Args = append(r.Args, "--", "sh", "-c", `trap "echo child" TERM; (trap "echo grandchild; exit" TERM; echo >`+dir+`/ready; while :; do sleep 0.01; done) & wait; wait`)
			r.Start(t)
			lab.Until(t, "the grandchild", func() bool { _, err := os.Stat(dir + "/ready"); return err == nil })
			kill(t, r.PID(), 15)
			lab.Until(t, "the child's trap", func() bool { return strings.Contains(r.Stdout.String(), "child\n") })
			if !c.group { // the grandchild goes on, and the child waits for the grandchild
				kill(t, r.PID(), 9)
			}
			r.Wait(t)
			if got := strings.Contains(r.Stdout.String(), "grandchild"); got != c.group {
				t.Errorf("%q %q: %q", c.args, c.env, r.Stdout.String())
			}
		})
	}
}

// The child sees its parent as the sender, as with kill(2) and under tini.
func TestOriginOfAForwardedSignal(t *testing.T) {
	for path, args := range map[string][]string{lab.Tini: nil, lab.Cgshim(t): {"--cgroup=off"}} {
		t.Run(path, func(t *testing.T) {
			r := lab.Run{Path: path, Args: append(args, "--", lab.Probe(t), "origin"), PID1: true}
			r.Start(t)
			lab.Until(t, "the child", func() bool { return r.Stdout.String() == "ready\n" })
			kill(t, r.PID(), 10)
			if r.Wait(t); r.Stdout.String() != "ready\nsignal 10 code 0 from the parent 1 value 0\n" {
				t.Errorf("%s: %q", path, r.Stdout.String())
			}
		})
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

// A TERM while the init starts does not end the init, although Go's runtime installs
// handlers before main that would end it.
func TestStartUpWindow(t *testing.T) {
	lab.Root(t)
	const tries = 200
	for path, args := range map[string][]string{lab.Tini: {"--"}, lab.Cgshim(t): {"--cgroup=off", "--"}} {
		ended := 0
		for i := range tries {
			r := lab.Run{Path: path, Args: append(slices.Clone(args), lab.Probe(t), "signals"), PID1: true}
			r.Start(t)
			time.Sleep(time.Duration(i) * 4 * time.Millisecond / tries) // part of the sweep, no wait for a condition
			_ = syscall.Kill(r.PID(), syscall.SIGTERM)
			alive := true
			lab.Until(t, "the child or the end", func() bool {
				alive = !strings.HasPrefix(lab.Status(r.PID(), "State"), "Z")
				return !alive || strings.HasPrefix(r.Stdout.String(), "ready")
			})
			if !alive {
				// 143 is the status of the child, which got the signal before it could
				// handle it.
				if status := r.Wait(t); status != 143 {
					ended++
				}
				continue
			}
			// From here on no signal ends the init.
			for range 20 {
				kill(t, r.PID(), 15)
			}
			kill(t, r.PID(), 64)
			if status := r.Wait(t); status != 0 {
				t.Fatalf("%s: %d after it was ready", path, status)
			}
		}
		if ended > 0 {
			t.Errorf("%s: a TERM within 4 ms of the exec ended it %d times of %d", path, ended, tries)
		}
	}
}
