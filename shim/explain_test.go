package shim

import (
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/pid1"
)

// The line that says why the program ended.
func TestExplainEnd(t *testing.T) {
	const abnormal = " pid=7 program=program"
	for _, c := range []struct {
		name      string
		exit      uint32
		forwarded SignalSet
		before    uint64
		kills     uint64
		unknown   bool
		noCgroup  bool
		verbose   Level
		want      string
	}{
		{name: "an exit", exit: exited(255), verbose: LevelTrace, want: "info child exited" + abnormal + " status=255 elapsed=1.250s"},
		{name: "an expected status is 0", exit: exited(3), verbose: LevelTrace, want: "info child exited" + abnormal + " status=0 elapsed=1.250s"},
		{
			name: "a signal that was forwarded is no surprise", exit: killed(unix.SIGTERM), forwarded: SetOf(unix.SIGTERM), verbose: LevelTrace,
			want: "info child ended by signal" + abnormal + " status=143 elapsed=1.250s signal=SIGTERM core_dumped=false",
		},
		{
			name: "one that was not is", exit: killed(unix.SIGTERM), forwarded: SetOf(unix.SIGINT), verbose: LevelWarn,
			want: "warn child ended by signal" + abnormal + " status=143 elapsed=1.250s signal=SIGTERM core_dumped=false",
		},
		{
			name: "a dumped core is said", exit: dumped(unix.SIGSEGV), verbose: LevelWarn,
			want: "warn child ended by signal" + abnormal + " status=139 elapsed=1.250s signal=SIGSEGV core_dumped=true",
		},
		{
			name: "OOM kills since the start are a warning", exit: exited(1), before: 3, kills: 5, verbose: LevelWarn,
			want: "warn child exited" + abnormal + " status=1 elapsed=1.250s oom_kills=2",
		},
		{
			name: "OOM kills and a signal", exit: killed(unix.SIGKILL), kills: 1, verbose: LevelWarn,
			want: "warn child ended by signal" + abnormal + " status=137 elapsed=1.250s signal=SIGKILL core_dumped=false oom_kills=1",
		},
		{name: "OOM kills before the start are not the program's", exit: exited(1), before: 5, kills: 5, verbose: LevelTrace, want: "info child exited" + abnormal + " status=1 elapsed=1.250s"},
		{name: "where they cannot be counted none is said", exit: exited(1), kills: 5, noCgroup: true, verbose: LevelTrace, want: "info child exited" + abnormal + " status=1 elapsed=1.250s"},
		{name: "nor where they could not be counted at the start", exit: exited(1), kills: 5, unknown: true, verbose: LevelTrace, want: "info child exited" + abnormal + " status=1 elapsed=1.250s"},
		{name: "what the level does not show is not said", exit: exited(1), verbose: LevelWarn},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, w := newJob(t, Config{})
			j.ExpectExit[3] = true
			w.verbose, w.oomKills, w.noCgroup = c.verbose, c.kills, c.noCgroup
			j.orders.Kills, j.orders.KillsKnown = c.before, !c.unknown
			j.orders.Outcome, j.orders.Elapsed, j.orders.Forwarded = pid1.Outcome{PID: program, Status: c.exit, Ended: true}, 1250999*time.Microsecond, c.forwarded
			j.help(pid1.Explain)
			if got := strings.TrimSuffix(j.orders.Reply.String(), "\n"); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestExplainExec(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		errno  syscall.Errno
		want   string
	}{
		{"no such program", Config{Args: []string{"/no/such"}}, unix.ENOENT, "error cannot execute program=/no/such err=no such file or directory reason=no such file"},
		{"one that may not be executed", Config{Args: []string{"/"}}, unix.EACCES, "error cannot execute program=/ err=permission denied reason=/ is a directory"},
		{"an errno that says it all", Config{Args: []string{"/"}}, unix.ENOMEM, "error cannot execute program=/ err=cannot allocate memory reason="},
		{"tini's words, with the number of its child", Config{Tini: true, Args: []string{"nosuch"}, Env: []string{"PATH=/no/such"}}, unix.ENOENT, "error (7) exec nosuch failed: No such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, _ := newJob(t, c.config)
			j.orders.Outcome = pid1.Outcome{PID: program, ExecErrno: uint32(c.errno)}
			j.help(pid1.Explain)
			if got := j.orders.Reply.String(); got != c.want+"\n" {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
	t.Run("a relative path is looked for in the directory of the start", func(t *testing.T) {
		dir := t.TempDir()
		put(t, filepath.Join(dir, "file"), "text", 0o644)
		t.Chdir("/")
		j, _ := newJob(t, Config{Args: []string{"./file"}})
		j.orders.SetDir(dir)
		j.orders.Outcome.ExecErrno = uint32(unix.EACCES)
		if got := j.explain(); !strings.Contains(got, "reason=./file is not executable: chmod +x") {
			t.Errorf("%s", got)
		}
	})
}

// The kernel does not know the format of such a file, and /bin/sh reads it.
func TestExplainShell(t *testing.T) {
	dir := t.TempDir()
	foreign, script := filepath.Join(dir, "foreign"), filepath.Join(dir, "script")
	put(t, foreign, string(elfFor(22 /* s390x */, binary.BigEndian)), 0o755)
	put(t, script, "exit 2\n", 0o755)
	for file, want := range map[string]string{
		foreign: "warn program is read by /bin/sh program=" + foreign + " reason=" + foreign + " is built for s390x, this is ",
		script:  "info child exited pid=7 program=script status=2 ",
	} {
		j, _ := newJob(t, Config{Args: []string{file}})
		j.orders.Outcome = pid1.Outcome{PID: program, Status: exited(2), ViaShell: 1, Ended: true}
		got := j.explain()
		if !strings.HasPrefix(got, want) || !strings.Contains(got, "info child exited pid=7 ") {
			t.Errorf("%s", got)
		}
	}
}

// A helper of a process that is not PID 1 ends only the descendants of that process.
func TestDrainSignalsTheDescendants(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperEnv + "=parent"}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	line := make([]byte, 32) // the parent has a child when it writes
	if _, err := stdout.Read(line); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("/proc/self/exe")
	other.Env = []string{helperEnv + "=reader"}
	startReader(t, other)

	j, _ := newJob(t, Config{})
	j.orders.PID, j.orders.Signal = cmd.Process.Pid, unix.SIGKILL
	j.help(pid1.Drain)
	if err := cmd.Wait(); err != nil { // the parent ends after its child, and has got no signal itself
		t.Error(err)
	}
	var ended unix.Siginfo
	if err := unix.Waitid(unix.P_PID, other.Process.Pid, &ended, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil || ended.Signo != 0 {
		t.Errorf("another process has ended: %v", err)
	}
	if descends(1<<22+1, cmd.Process.Pid) {
		t.Error("a process that is not there descends from another")
	}
}
