package starved

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// The container is at pids.max and tries to fork all the time. At one moment there is room
// for a thread of the init, and at the next there is none. The init must live, and still
// end by TERM.
func TestForkStorm(t *testing.T) {
	took := 10 * time.Second
	// Only variables that begin with CGSHIM_ get into a virtual machine.
	if v := cmp.Or(os.Getenv("STARVED_TIME"), os.Getenv("CGSHIM_STARVED_TIME")); v != "" {
		var err error
		if took, err = time.ParseDuration(v); err != nil {
			t.Fatal(err)
		}
	}
	both(t, "reaches `pids.max` (30) while a program forks twice without end", func(t *testing.T, s side) sight {
		r := by(s.run("--", helper, "storm"), groups(t, pidsMax(30))...)
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		if within(took, func() bool { return dead(r) }) { // the length of the storm
			return ended(r, r.Wait(t), 0, 0)
		}
		got := end(t, s, r, syscall.SIGTERM, 42)
		var made, refused int
		if _, err := fmt.Sscanf(r.Stdout.String(), "ready\n%d %d\n", &made, &refused); err != nil || refused == 0 {
			t.Fatalf("%q: no fork was refused: %v", r.Stdout.String(), err)
		}
		t.Logf("%d forks and %d refused in %v", made, refused, took)
		if got.good {
			got.text = fmt.Sprintf("lives for %v, then %s", took, got.text)
		}
		return got
	})
}

// The init must take 100,000 signals while the user may have no more processes.
func TestSignalsWithoutProcesses(t *testing.T) {
	const signals = 100_000
	both(t, "fills RLIMIT_NPROC, and 100,000 signals come", func(t *testing.T, s side) sight {
		r := limit(s.run("--", helper, "full"), "nproc", 12)
		r.Start(t)
		if !listening(t, r, "full") {
			return ended(r, r.Wait(t), 0, 0)
		}
		for i := range signals {
			sig := syscall.SIGUSR1
			if i%2 == 1 {
				sig = 40
			}
			if err := syscall.Kill(r.PID(), sig); err == syscall.EAGAIN { // the queue is full (RLIMIT_SIGPENDING)
				time.Sleep(time.Millisecond)
			}
		}
		return end(t, s, r, syscall.SIGTERM, 42)
	})
}

// The init must reap any number of orphans without more memory for each.
func TestOrphansWithLittleMemory(t *testing.T) {
	orphans := count(t, "STARVED_ORPHANS", 100_000)
	both(t, fmt.Sprintf("makes %d orphans, and the init has a memory limit of 8 MB", orphans), func(t *testing.T, s side) sight {
		// The kernel frees the last memory of a process a little later than the init reaps
		// the process (RCU). So the program and its orphans are outside of the init's limit.
		launcher := groups(t, memoryLimit(8<<20))
		outside := filepath.Dir(launcher[1])
		r := by(s.run("--", helper, "in", outside, helper, "orphans", fmt.Sprint(orphans)), launcher...)
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		lab.Until(t, "the first ones to be reaped", func() bool { return children(r.PID()) == 1 })
		before := kilobytes(t, r.PID(), "Pss")
		if err := syscall.Kill(r.Child(t), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		made := func() bool { return strings.Contains(r.Stdout.String(), "made\n") }
		if !within(time.Duration(orphans)*time.Millisecond, func() bool { return made() || dead(r) }) || dead(r) {
			if !dead(r) {
				return sight{false, "does not reap them"}
			}
			return ended(r, r.Wait(t), 0, 0)
		}
		lab.Until(t, "all to be reaped", func() bool { return children(r.PID()) == 1 })
		after := kilobytes(t, r.PID(), "Pss")
		got := end(t, s, r, syscall.SIGTERM, 42)
		if after > before+2*os.Getpagesize()/1024 {
			got.good = false
		}
		if got.good || s.tini {
			got.text = fmt.Sprintf("PSS %d kB before, %d kB after", before, after)
		}
		return got
	})
}

// A shell that executes the init may have children that have ended. The init must reap these
// zombies, for which it gets no SIGCHLD.
func TestChildrenThatEndedBeforeTheExec(t *testing.T) {
	both(t, "starts the init with three children that have ended", func(t *testing.T, s side) sight {
		r := by(s.run("--", helper, "ready"), "before", "3")
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		began := time.Now()
		if !within(s.patience(), func() bool { return children(r.PID()) == 1 }) {
			return sight{false, fmt.Sprintf("%d zombies stay", children(r.PID())-1)}
		}
		took := time.Since(began)
		got := end(t, s, r, syscall.SIGTERM, 42)
		if got.good {
			got.text = "reaped in " + short(took)
		}
		return got
	})
}

// A sandbox (seccomp) may refuse a system call. An init that cannot wait must say so and end,
// because no signal would end it. Go's runtime cannot start without futex. Without the other
// calls cgshim must go on.
func TestRefusedSystemCalls(t *testing.T) {
	for _, c := range []struct {
		name   string
		number int
		says   string
	}{
		{"rt_sigtimedwait", unix.SYS_RT_SIGTIMEDWAIT, "rt_sigtimedwait: "},
		{"wait4", unix.SYS_WAIT4, "wait4: "},
		{"futex", unix.SYS_FUTEX, "futex"},
	} {
		both(t, "may not call "+c.name, func(t *testing.T, s side) (got sight) {
			for _, errno := range refusals {
				r := refused(s, c.number, errno)
				if s.tini && c.number == unix.SYS_FUTEX { // tini never calls futex
					return startAndEnd(t, s, r)
				}
				r.Start(t)
				if !within(s.patience(), func() bool { return dead(r) }) {
					return sight{false, "hangs"}
				}
				if got = ended(r, r.Wait(t), 1, -1); !got.good {
					break
				}
				if said := r.Stderr.String(); !s.tini && (strings.Count(said, "\n") != 1 || !strings.Contains(said, c.says)) {
					t.Errorf("%q", said)
				}
			}
			return got
		})
	}
	both(t, "may not call one of the other system calls that cgshim makes", func(t *testing.T, s side) (got sight) {
		for _, number := range dispensable {
			for _, errno := range refusals {
				if got = startAndEnd(t, s, refused(s, number, errno)); !got.good {
					t.Logf("without system call %d: %v", number, errno)
					return got
				}
			}
		}
		return got
	})
}

var refusals = []syscall.Errno{syscall.EPERM, syscall.ENOSYS}

// dispensable has the system calls that cgshim makes and can do without.
var dispensable = []int{
	unix.SYS_PPOLL, unix.SYS_NANOSLEEP, unix.SYS_PRLIMIT64, unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME,
	unix.SYS_RT_SIGPENDING, unix.SYS_CHDIR, unix.SYS_FCHDIR, unix.SYS_SETPGID, unix.SYS_STATX, unix.SYS_PIDFD_OPEN,
	unix.SYS_MADVISE, unix.SYS_MLOCK2, unix.SYS_MUNLOCK, unix.SYS_MREMAP, unix.SYS_CLOSE_RANGE, unix.SYS_PRCTL, unix.SYS_IOCTL, unix.SYS_TGKILL,
	unix.SYS_GETRANDOM, unix.SYS_CLOCK_GETTIME,
}

// refused runs the program of the package under an init that may not make this system call.
func refused(s side, number int, errno syscall.Errno) *lab.Run {
	return by(s.run("--", helper, "ready"), "refuse", strconv.Itoa(number), strconv.Itoa(int(errno)))
}

// PTRACE_TRACEME makes PID 1 the tracer of its child (ptrace(2)). Each signal then stops the
// child until the tracer acts. The init must let the child go on.
func TestTracedChild(t *testing.T) {
	both(t, "has a child that called ptrace(PTRACE_TRACEME)", func(t *testing.T, s side) sight {
		r := s.run("--", helper, "traced")
		r.Start(t)
		if !within(s.patience(), func() bool { return strings.Contains(r.Stdout.String(), "ready\n") || dead(r) }) {
			return sight{false, "the child stays stopped"}
		}
		if dead(r) {
			return ended(r, r.Wait(t), 42, 0)
		}
		return end(t, s, r, syscall.SIGTERM, 42)
	})
}

// A PID 1 without privileges may not kill a program of another user (kill(2), EPERM). At the
// stop time-out cgshim must say so and exit, because the kernel then kills the program.
func TestSetuidProgramAtTheStopTimeout(t *testing.T) {
	both(t, "has a setuid program under a PID 1 that is not root, and `--stop-timeout`", func(t *testing.T, s side) sight {
		if s.tini {
			return hasNot
		}
		program := bin + "/setuid"
		data, err := os.ReadFile(helper)
		if err == nil {
			err = os.WriteFile(program, data, 0o755)
		}
		if err == nil {
			err = os.Chmod(program, 0o755|os.ModeSetuid)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(program)
		r := s.run("--stop-timeout=200ms", "--", program, "root")
		r.Attr.Credential = &syscall.Credential{Uid: user(), Gid: user()}
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		if uid := lab.Status(r.Child(t), "Uid"); !strings.HasPrefix(uid, "0\t0") {
			t.Fatalf("the program's user is %s", uid)
		}
		got := end(t, s, r, syscall.SIGTERM, 137)
		if said := r.Stderr.String(); !strings.Contains(said, "may not be killed") {
			t.Errorf("%q", said)
		}
		return got
	})
}

// A stopped process takes no TERM before SIGCONT. The drain must not wait for it until the
// time-out.
func TestStoppedLeftovers(t *testing.T) {
	both(t, "leaves a stopped process behind, and `--drain-timeout=5m`", func(t *testing.T, s side) sight {
		if s.tini {
			return hasNot
		}
		r := s.run("--drain-timeout=5m", "--", helper, "stopped")
		r.Start(t)
		began := time.Now()
		if !within(s.patience(), func() bool { return dead(r) }) {
			return sight{false, "waits for it"}
		}
		took := time.Since(began)
		return ended(r, r.Wait(t), 6, took)
	})
}

// STOPSIGNAL of an image names the signal that asks for the end. With --stop-signal the
// stop time-out must begin at that signal.
func TestStopSignals(t *testing.T) {
	for _, c := range []struct {
		signals string
		named   string
		sent    syscall.Signal
	}{{"WINCH", "WINCH", syscall.SIGWINCH}, {"USR1,RTMIN+3", "RTMIN+3", 37}, {"TERM,USR1", "USR1", syscall.SIGUSR1}} {
		both(t, fmt.Sprintf("has STOPSIGNAL %s, `--stop-signal=%s` and `--stop-timeout`", c.named, c.signals), func(t *testing.T, s side) sight {
			if s.tini {
				return hasNot
			}
			r := s.run("--stop-signal="+c.signals, "--stop-timeout=200ms", "--", helper, "deaf")
			r.Start(t)
			if !listening(t, r, "ready") {
				return ended(r, r.Wait(t), 0, 0)
			}
			return end(t, s, r, c.sent, 137)
		})
	}
}

// CGSHIM_STOP_SIGNAL must do the same as --stop-signal. TERM, INT and QUIT must then not begin
// the stop time-out, as the variable does not name them.
func TestStopSignalVariable(t *testing.T) {
	lab.Root(t)
	r := cgshim.run("--stop-timeout=200ms", "--", helper, "deaf")
	r.Env = []string{"CGSHIM_STOP_SIGNAL=USR2"}
	r.Start(t)
	if !listening(t, r, "ready") {
		t.Fatal(r.Stderr.String())
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		_ = syscall.Kill(r.PID(), sig)
	}
	if within(time.Second, func() bool { return dead(r) }) { // five times the stop time-out
		t.Fatalf("TERM ended it: %q", r.Stderr.String())
	}
	if got := end(t, cgshim, r, syscall.SIGUSR2, 137); !got.good {
		t.Error(got.text)
	}
}

// The stop time-out must come even if the init always has another signal to take.
func TestSignalsWithoutEnd(t *testing.T) {
	both(t, "sends PID 1 real-time signals without end, and `--stop-timeout=1s`", func(t *testing.T, s side) sight {
		if s.tini {
			return hasNot
		}
		r := s.run("--stop-timeout=1s", "--", helper, "deaf")
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		var over atomic.Bool
		defer over.Store(true)
		for range 2 {
			go func() {
				for !over.Load() {
					if err := syscall.Kill(r.PID(), 40); err != nil {
						time.Sleep(time.Millisecond) // the queue is full (RLIMIT_SIGPENDING)
					}
				}
			}()
		}
		lab.Until(t, "signals to wait", func() bool { return lab.Status(r.PID(), "ShdPnd") != "0000000000000000" })
		got := end(t, s, r, syscall.SIGTERM, 137)
		if said := r.Stderr.String(); !strings.Contains(said, "did not stop in time") {
			t.Errorf("%q", said)
		}
		return got
	})
}

// The time in which docker pause freezes the container must not count for the stop time-out.
// The program ends in time after the freeze, so the init must not kill it.
func TestFreezeAfterTheStopSignal(t *testing.T) {
	both(t, "is frozen for 4 s after a TERM, and `--stop-timeout=3s`", func(t *testing.T, s side) sight {
		if s.tini {
			return hasNot
		}
		dir, v1 := newGroup(t, "freezer", nil)
		freeze := func(on bool) {
			file, value, event := dir+"/cgroup.freeze", "0", dir+"/cgroup.events"
			if on {
				value = "1"
			}
			want := "frozen " + value
			if v1 {
				file, value, event = dir+"/freezer.state", "THAWED", dir+"/freezer.state"
				if on {
					value = "FROZEN"
				}
				want = value
			}
			if err := os.WriteFile(file, []byte(value), 0); err != nil {
				t.Fatal(err)
			}
			lab.Until(t, want, func() bool {
				state, _ := os.ReadFile(event)
				return strings.Contains(string(state), want)
			})
		}
		r := by(s.run("--stop-timeout=3s", "--", helper, "slow", "300"), "in", dir)
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		t.Cleanup(func() { freeze(false) })
		began := time.Now()
		if err := syscall.Kill(r.PID(), syscall.SIGTERM); err != nil || !listening(t, r, "term") {
			t.Fatal(err, r.Stderr.String())
		}
		freeze(true)
		time.Sleep(4 * time.Second) // longer than the stop time-out
		freeze(false)
		if !within(s.patience(), func() bool { return dead(r) }) {
			return sight{false, "does not end"}
		}
		return ended(r, r.Wait(t), 42, time.Since(began))
	})
}
