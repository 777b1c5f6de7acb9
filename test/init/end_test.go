package init

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

func TestStopTimeout(t *testing.T) {
	r := pid1(t, "--stop-timeout=200ms", "--", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	r.Start(t)
	lab.Until(t, "the child", func() bool { return r.Stdout.String() == "ready\n" })
	kill(t, r.PID(), 15)
	if status := r.Wait(t); status != 137 || !strings.Contains(r.Stderr.String(), "did not stop in time") {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}

// A program that has left the process group gets the signal all the same.
func TestStopTimeoutWithAGroupThatWasLeft(t *testing.T) {
	r := pid1(t, "-g", "--stop-timeout=200ms", "--", lab.Probe(t), "moved")
	r.Start(t)
	lab.Until(t, "the child", func() bool { return r.Stdout.String() == "ready\n" })
	kill(t, r.PID(), 15)
	if status := r.Wait(t); status != 143 {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}

// At the stop time-out the whole group is killed, where the signals go to the group. Not as
// PID 1, whose exit would kill the rest in any case.
func TestStopTimeoutKillsTheGroup(t *testing.T) {
	lab.Root(t)
	r := lab.Run{Path: lab.Cgshim(t), Args: []string{
		"--cgroup=off", "-g", "--stop-timeout=200ms", "--",
		"sh", "-c", "trap '' TERM; sleep 1000 & echo $!; while :; do sleep 0.05; done",
	}}
	r.Start(t)
	other := 0
	lab.Until(t, "the rest of the group", func() bool {
		_, err := fmt.Sscan(r.Stdout.String(), &other)
		return err == nil && lab.Status(other, "Name") == "sleep"
	})
	t.Cleanup(func() { _ = syscall.Kill(other, syscall.SIGKILL) })
	kill(t, r.PID(), 15)
	lab.Until(t, "the init to end", func() bool { return dead(r.PID()) })
	lab.Until(t, "the rest of the group to end", func() bool { state := lab.Status(other, "State"); return state == "" || state[0] == 'Z' })
	if status := r.Wait(t); status != 137 {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}

// What a line raises that cannot be written is not the program's: the file must not grow
// (RLIMIT_FSIZE), or has no reader.
func TestSignalsOfTheLogStayHere(t *testing.T) {
	lab.Root(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	read.Close()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(pair[0]), "socket")
	defer socket.Close()
	syscall.Close(pair[1])
	for name, to := range map[string]*os.File{"file": file, "pipe": write, "socket": socket} {
		t.Run(name, func(t *testing.T) {
			r := &lab.Run{Path: "/usr/bin/prlimit", PID1: true, ErrorTo: to}
			r.Args = []string{"--fsize=0", lab.Cgshim(t), "--cgroup=off", "-vvvv"}
			r = listening(t, r)
			for range 3 {
				kill(t, r.PID(), 10) // a line each
			}
			relayed(t, r, 12)
			got := heard(t, r)
			for _, own := range []int{13, 25} {
				if got[own] > 0 {
					t.Errorf("%s: signal %d reached the program", to.Name(), own)
				}
			}
			if got[12] != 1 {
				t.Errorf("%s: %v", to.Name(), got)
			}
		})
	}
}

// The OOM kills that are said are those since the program was started. The files are made
// up: a hybrid host has no memory.events.
func TestOOMKillsAreCounted(t *testing.T) {
	for _, c := range []struct {
		script, says string
		status       int
	}{
		{`exit 3`, "", 3},
		{`echo "oom_kill 5" >"$EVENTS"; exit 3`, `"oom_kills": 2`, 3},
		{`echo "oom_kill 4" >"$EVENTS"; kill -KILL $$`, `"oom_kills": 1`, 137},
		{`kill -KILL $$`, "SIGKILL", 137},
	} {
		r := pid1(t, "--", "sh", "-c", c.script)
		r.Args = append([]string{"-c", `mount --make-rprivate / && mount -t tmpfs cgroup /sys/fs/cgroup || exit 99
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir -p "$own"
export EVENTS="$own/memory.events"
echo "oom_kill 3" >"$EVENTS"
exec "$0" "$@"`, r.Path}, r.Args...)
		r.Path = "/bin/sh"
		r.Attr.Cloneflags = syscall.CLONE_NEWNS
		status := r.Do(t)
		said := r.Stderr.String()
		if status != c.status || !strings.Contains(said, c.says) || strings.Contains(said, "oom_kills") != strings.Contains(c.says, "oom_kills") {
			t.Errorf("%q: %d, %q", c.script, status, said)
		}
	}
}

// A line is longer than the room in the pipe, and no process reads the pipe.
func TestAStuckReaderOfALongLine(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	fd := int(write.Fd())
	_ = syscall.SetNonblock(fd, true)
	for err = nil; err == nil; {
		_, err = syscall.Write(fd, make([]byte, 4096))
	}
	_ = syscall.SetNonblock(fd, false)
	if n, err := read.Read(make([]byte, 8192)); n != 8192 {
		t.Fatal(n, err)
	}
	r := pid1(t, "--", "/"+strings.Repeat("x", 40_000))
	r.ErrorTo = write
	r.Start(t)
	lab.Until(t, "the end", func() bool { return dead(r.PID()) })
	if status := r.Wait(t); status == 0 {
		t.Errorf("%d", status)
	}
}

func TestStopTimeoutOfARewrittenSignal(t *testing.T) {
	r := pid1(t, "--rewrite=TERM:WINCH", "--stop-timeout=200ms", "--", "sh", "-c", "echo ready; while :; do sleep 0.05; done")
	r.Start(t)
	lab.Until(t, "the child", func() bool { return r.Stdout.String() == "ready\n" })
	kill(t, r.PID(), 15)
	if status := r.Wait(t); status != 137 {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}

// The pipe of standard error is full, and no process reads it. The log lines are lost,
// and nothing else happens.
func TestAStuckReaderOfTheLog(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	fd := int(write.Fd())
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full %v", full), func(t *testing.T) {
			if full {
				_ = syscall.SetNonblock(fd, true)
				for err = nil; err == nil; {
					_, err = syscall.Write(fd, make([]byte, 4096))
				}
				_ = syscall.SetNonblock(fd, false)
			}
			r := pid1(t, "-vvvv", "-w", "--", "sh", "-c", "(true &); exec 2>&-; sleep 0.1; kill -KILL $$")
			r.ErrorTo = write
			if status := r.Do(t); status != 137 {
				t.Errorf("%d", status)
			}
		})
	}
}

// A process that was started into the container from outside has no parent in the
// container.
func TestDrainAsksThoseThatWereStartedFromOutside(t *testing.T) {
	mark := t.TempDir() + "/mark"
	r := pid1(t, "--drain-timeout=30s", "--", "sh", "-c", "echo ready; while [ ! -e "+mark+" ]; do sleep 0.01; done; exit 7")
	r.Start(t)
	lab.Until(t, "the child", func() bool { return r.Stdout.String() == "ready\n" })
	enter := &lab.Run{Path: "/usr/bin/nsenter", Args: []string{
		"--target", fmt.Sprint(r.PID()), "--pid", "sh", "-c",
		"trap 'echo term >" + mark + "2; exit' TERM; echo >" + mark + "; while :; do sleep 0.02; done",
	}}
	enter.Start(t)
	if status := r.Wait(t); status != 7 {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
	if data, _ := os.ReadFile(mark + "2"); string(data) != "term\n" {
		t.Errorf("%q", data)
	}
}

func TestDrainLetsTheRestEnd(t *testing.T) {
	mark := t.TempDir() + "/mark"
	r := pid1(t, "--drain-timeout=30s", "--", lab.Probe(t), "linger", mark)
	start := time.Now()
	status := r.Do(t)
	if data, _ := os.ReadFile(mark); status != 5 || string(data) != "term\n" {
		t.Errorf("%d, %q, %q", status, data, r.Stderr.String())
	}
	if time.Since(start) > 20*time.Second {
		t.Error("it waited for nobody")
	}
	// Without the option the kernel kills the process without a SIGTERM.
	mark += "2"
	r = pid1(t, "--", lab.Probe(t), "linger", mark)
	if status := r.Do(t); status != 5 {
		t.Errorf("%d", status)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("somebody sent TERM")
	}
}

// stubborn is a script that starts a process that ignores TERM, and exits with 6.
func stubborn(t *testing.T) string {
	ready := t.TempDir() + "/ready"
	return "(trap '' TERM; echo >" + ready + "; while :; do sleep 0.05; done) & while [ ! -e " + ready + " ]; do sleep 0.01; done; exit 6"
}

func TestDrainEndsWhatDoesNot(t *testing.T) {
	r := pid1(t, "--drain-timeout=200ms", "--", "sh", "-c", stubborn(t))
	if status := r.Do(t); status != 6 || !strings.Contains(r.Stderr.String(), "drain timeout") {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}

func TestASecondStopSignalHurriesTheDrain(t *testing.T) {
	r := pid1(t, "-v", "--drain-timeout=10m", "--", "sh", "-c", stubborn(t))
	r.Start(t)
	lab.Until(t, "the drain", func() bool { return strings.Contains(r.Stderr.String(), "draining") })
	kill(t, r.PID(), 15)
	if status := r.Wait(t); status != 6 {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}

func TestDrainWithoutPID1(t *testing.T) {
	lab.Root(t)
	mark := t.TempDir() + "/mark"
	r := lab.Run{Path: lab.Cgshim(t), Args: []string{"--drain-timeout=30s", "--", lab.Probe(t), "linger", mark}}
	status := r.Do(t)
	if data, _ := os.ReadFile(mark); status != 5 || string(data) != "term\n" {
		t.Errorf("%d, %q, %q", status, data, r.Stderr.String())
	}
}

// If the end is abnormal, one line at the default level has the reason. There is no
// line after a normal end, or after an end by the forwarded signal.
func TestTheReasonIsSaid(t *testing.T) {
	for _, c := range []struct {
		script string
		status int
		says   string
	}{
		{"kill -SEGV $$", 139, "SIGSEGV"},
		{"kill -KILL $$", 137, "SIGKILL"},
		{"exit 3", 3, ""},
		{"kill -TERM 1; sleep 10", 143, ""},
		{"trap '' WINCH; kill -TERM 1; kill -WINCH 1; sleep 10", 143, ""},
	} {
		r := pid1(t, "--", "sh", "-c", c.script)
		status := r.Do(t)
		out := r.Stderr.String()
		if status != c.status || c.says == "" && out != "" || !strings.Contains(out, c.says) || c.says != "" && strings.Count(out, "\n") != 1 {
			t.Errorf("%q: %d, %q", c.script, status, out)
		}
	}
}

func TestExecModeBecomesTheProgram(t *testing.T) {
	lab.Root(t)
	r := lab.Run{Path: lab.Cgshim(t), Args: []string{"-x", "--", "sh", "-c", `echo $$ $(tr '\0' ' ' </proc/$$/cmdline | cut -d' ' -f1)`}}
	r.Start(t)
	pid := r.PID()
	if status := r.Wait(t); status != 0 {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
	var got int
	var name string
	if n, err := fmt.Sscan(r.Stdout.String(), &got, &name); n != 2 || got != pid || name != "sh" {
		t.Errorf("%q is not PID %d of sh: %v", r.Stdout.String(), pid, err)
	}
	missing := lab.Run{Path: lab.Cgshim(t), Args: []string{"-x", "--", "no-such-program"}}
	if status := missing.Do(t); status != 127 {
		t.Errorf("%d", status)
	}
}

func TestParentDeathSignal(t *testing.T) {
	lab.Root(t)
	dir := t.TempDir()
	// The parent is a shell that ends. The child still gets the signal.
	script := lab.Cgshim(t) + " -p USR1 -- sh -c 'trap \"echo >" + dir + "/got; exit\" USR1; echo >" + dir + "/ready; while :; do sleep 0.02; done' & " +
		"while [ ! -e " + dir + "/ready ]; do sleep 0.01; done"
	r := lab.Run{Path: "/bin/sh", Args: []string{"-c", script}}
	if status := r.Do(t); status != 0 {
		t.Fatal(r.Stderr.String())
	}
	lab.Until(t, "the child to get the signal", func() bool { _, err := os.Stat(dir + "/got"); return err == nil })
}

func TestLogAsJSON(t *testing.T) {
	r := pid1(t, "--json", "--", "sh", "-c", "kill -SEGV $$")
	r.Do(t)
	if out := r.Stderr.String(); !strings.HasPrefix(out, `{"level":"warn",`) || !strings.Contains(out, `"signal":"SIGSEGV"`) {
		t.Errorf("%q", out)
	}
}
