package shim

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
)

const tinisWarning = "warn Tini is not running as PID 1 and isn't registered as a child subreaper."

func TestAdopt(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		pid1   bool
		// afterwards
		subreaper bool
		death     Signal
		want      string // beginning of the log
	}{
		{name: "PID 1 needs nothing", pid1: true},
		{name: "another process becomes a subreaper", subreaper: true, want: "trace registered as child subreaper"},
		{name: "but not one that becomes the program", config: Config{Exec: true}},
		{name: "unless the user asks for that", config: Config{Exec: true, Subreaper: true}, subreaper: true, want: "trace registered as child subreaper"},
		{name: "tini does not, and warns", config: Config{Tini: true}, want: tinisWarning},
		{name: "tini -s does", config: Config{Tini: true, Subreaper: true}, subreaper: true, want: "trace Registered as child subreaper"},
		{name: "tini as PID 1 does not warn", config: Config{Tini: true}, pid1: true},
		{name: "PID 1 does where the user asks for that", config: Config{Subreaper: true}, pid1: true, subreaper: true, want: "trace registered as child subreaper"},
		{name: "--parent-death-signal", config: Config{ParentDeath: unix.SIGUSR2}, pid1: true, death: unix.SIGUSR2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out adopted
			// The state belongs to the process, so test in another process.
			ask(t, "adopt", adopting{c.config, c.pid1}, &out)
			if out.Err != "" || out.Subreaper != c.subreaper || Signal(out.Death) != c.death || !strings.HasPrefix(out.Log, c.want) || (c.want == "") != (out.Log == "") {
				t.Errorf("%+v", out)
			}
		})
	}
	t.Run("a signal that the kernel does not know is an error with its name", func(t *testing.T) {
		j, _ := newJob(t, Config{ParentDeath: 99})
		if err := j.adopt(); !errors.Is(err, unix.EINVAL) || !strings.HasPrefix(err.Error(), "prctl PR_SET_PDEATHSIG ") {
			t.Errorf("%v", err)
		}
	})
	t.Run("tini's warning comes without a change too", func(t *testing.T) {
		j, w := newJob(t, Config{Tini: true})
		if err := j.adopt(); err != nil || len(w.trace) != 1 || !strings.HasPrefix(w.trace[0], tinisWarning) {
			t.Errorf("%v, %q", err, w.trace)
		}
	})
}

type adopting struct {
	Config Config
	PID1   bool
}

type adopted struct {
	Log, Err  string
	Subreaper bool
	Death     int
}

func init() {
	helpers["adopt"] = answer(func(in adopting) (out adopted) {
		runtime.LockOSThread() // PR_SET_PDEATHSIG belongs to the thread
		j, w := newJob(new(testing.T), in.Config)
		if in.PID1 {
			j.orders.PID = 1
		}
		if err := j.adopt(); err != nil {
			out.Err = err.Error()
		}
		out.Log, out.Subreaper = strings.Join(w.trace, "\n"), j.isSubreaper()
		var death int32
		if err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&death)), 0, 0, 0); err != nil {
			out.Err = err.Error()
		}
		out.Death = int(death)
		return out
	})
}

func TestCannotBeInit(t *testing.T) {
	subreaper, death := os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.EPERM), os.NewSyscallError("prctl PR_SET_PDEATHSIG SIGTERM", unix.EINVAL)
	for _, c := range []struct {
		tini bool
		err  error
		want string
	}{
		{false, subreaper, "error cannot be an init err=prctl PR_SET_CHILD_SUBREAPER: operation not permitted"},
		{true, subreaper, "error Failed to register as child subreaper: Operation not permitted"},
		{true, death, "error Failed to set up parent death signal"},
	} {
		j, w := newJob(t, Config{Tini: c.tini})
		j.cannotBeInit(c.err)
		w.wants(c.want)
	}
}

// PID 1 gets each option, and knows whether the program may start without a delegation before
// anything is done.
func TestOrderOptions(t *testing.T) {
	t.Run("each option", func(t *testing.T) {
		config := Config{
			Exec: true, KillGroup: true, StopSignals: SetOf(unix.SIGHUP), StopTimeout: time.Minute, DrainTimeout: time.Second,
			Rewrite: map[Signal]Signal{unix.SIGTERM: unix.SIGQUIT, unix.SIGHUP: 0, unix.SIGTTIN: unix.SIGCONT},
		}
		config.ExpectExit[7] = true
		j, _ := newJob(t, config)
		j.orderOptions()
		o := j.orders.Options
		if !o.Exec || o.Pause || o.Tini || !o.KillGroup || !o.Explains || o.Delegated || o.Job || !o.ExpectExit[7] || o.ExpectExit[8] ||
			o.StopSignals != config.StopSignals || o.StopTimeout != time.Minute || o.DrainTimeout != time.Second {
			t.Errorf("%+v", o)
		}
		for sig, want := range map[Signal]Signal{unix.SIGTERM: unix.SIGQUIT, unix.SIGHUP: 0, unix.SIGTTIN: unix.SIGCONT, unix.SIGUSR1: unix.SIGUSR1, unix.SIGCHLD: 0, 64: 64} {
			if got := Signal(o.Rewrite[sig]); got != want {
				t.Errorf("%v becomes %v, want %v", sig, got, want)
			}
		}
	})
	t.Run("tini explains nothing", func(t *testing.T) {
		j, _ := newJob(t, Config{Tini: true, Pause: true})
		if j.orderOptions(); j.orders.Explains || !j.orders.Tini || !j.orders.Pause {
			t.Errorf("%+v", j.orders.Options)
		}
	})
	for mode, want := range map[CgroupMode]uint32{CgroupAuto: 0, CgroupExplicit: 0, CgroupRequire: 1, CgroupRequireV2: 1, CgroupOff: 0} {
		j, _ := newJob(t, Config{CgroupMode: mode})
		j.orders.Require = 7
		if j.orderOptions(); j.orders.Require != want || j.orders.Read != 1 {
			t.Errorf("mode %d: required %d, read %d", mode, j.orders.Require, j.orders.Read)
		}
	}
}

// The program starts only if prepare returns 0.
func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		status int
		want   []string
	}{
		{name: "a program", config: Config{CgroupMode: CgroupOff, KillGroup: true}},
		{name: "tini", config: Config{CgroupMode: CgroupOff, Tini: true, WarnOnReap: true}},
		{name: "--pause needs no program", config: Config{Pause: true, CgroupMode: CgroupRequire}},
		{name: "a delegation that fails is no reason", want: []string{"warn cgroup not delegated err=the test does not delegate"}},
		{
			name: "unless it is required", config: Config{CgroupMode: CgroupRequire, CgroupFrom: "--cgroup=require"}, status: ExitRequire,
			want: []string{"error cgroup not delegated, so the program does not start err=the test does not delegate required_by=--cgroup=require"},
		},
		{
			name: "a signal that the kernel does not know", config: Config{ParentDeath: 99}, status: ExitFailure,
			want: []string{"error cannot be an init err=prctl PR_SET_PDEATHSIG SIGRTMIN+65: invalid argument"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, w := newJob(t, c.config)
			j.orders.PID, w.oomKills = 1, 3 // PID 1 changes nothing of this process
			j.kernel.delegate = func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error) {
				return &cgroup.Report{}, errors.New("the test does not delegate")
			}
			if status := j.prepare(); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			w.wants(c.want...)
			o := j.orders
			if started := c.status == 0 && !c.config.Pause; o.KillsKnown != started || started && o.Kills != 3 || (o.String(o.Dir) != "") != started {
				t.Errorf("OOM kills %d, known %v; directory %q", o.Kills, o.KillsKnown, o.String(o.Dir))
			}
		})
	}
}

// A whole run in a process that is not PID 1.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, script string
		config       Config
		status       int
		log          []string // texts in the log
	}{
		{name: "the status is the program's", script: "exit 7", status: 7, log: []string{"info spawned child pid=", "info child exited pid="}},
		{name: "a signal is 128 and its number", script: "kill -9 $$", status: 137, log: []string{"warn child ended by signal"}},
		{name: "an expected status is 0", script: "exit 7", config: Config{ExpectExit: [256]bool{7: true}}, log: []string{"status=0"}},
		{name: "a signal reaches the program", script: "trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.01; done", status: 9, log: []string{"debug forwarding signal signal=SIGTERM"}},
		{name: "a rewritten one too", script: "trap 'exit 9' USR1; kill -TERM $PPID; while :; do sleep 0.01; done", config: Config{Rewrite: map[Signal]Signal{unix.SIGTERM: unix.SIGUSR1}}, status: 9, log: []string{"signal=SIGUSR1 received=SIGTERM"}},
		{name: "an orphan is reaped", script: "f=$(mktemp -u); mkfifo $f; p=$(sh -c \"{ read x <$f; } >/dev/null & echo \\$!\"); echo >$f; rm $f; while kill -0 $p 2>/dev/null; do :; done; exit 3", status: 3, log: []string{"debug reaped orphan pid=", "info child exited pid="}},
		{name: "a stop time-out kills", script: "trap '' TERM; kill -TERM $PPID; while :; do sleep 0.01; done", config: Config{StopTimeout: 1}, status: 137, log: []string{"warn child did not stop in time", "timeout=1ns"}},
		{name: "what is left gets TERM", script: "sleep 1000 >/dev/null 2>&1 & exit 4", config: Config{DrainTimeout: time.Minute}, status: 4, log: []string{"info draining timeout=1m0s"}},
		{name: "what is left after that gets KILL", script: "(trap '' TERM; exec sleep 1000) >/dev/null 2>&1 & exit 4", config: Config{DrainTimeout: time.Millisecond}, status: 4, log: []string{"info draining"}},
		{name: "no such program", config: Config{Args: []string{"/no/such"}}, status: 127, log: []string{"error cannot execute program=/no/such err=no such file or directory reason=no such file"}},
		{name: "one that may not be executed", config: Config{Args: []string{"/"}}, status: 126, log: []string{"error cannot execute program=/ err=permission denied reason=/ is a directory"}},
		{name: "--exec becomes the program", config: Config{Exec: true}, script: "exit 6", status: 6},
		{name: "--exec of none", config: Config{Exec: true, Args: []string{"/no/such"}}, status: 127, log: []string{"error cannot execute program=/no/such"}},
		{name: "tini's texts", config: Config{Tini: true}, script: "exit 5", status: 5, log: []string{"info Spawned child process '/bin/sh' with pid '", "info Main child exited normally (with status '5')", "trace Exiting: child has exited"}},
		{name: "tini's child tells that it cannot be executed", config: Config{Tini: true, Args: []string{"/no/such"}}, status: 127, log: []string{") exec /no/such failed: No such file or directory"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config.Args == nil {
				c.config.Args = []string{"/bin/sh", "-c", c.script}
			}
			c.config.StopSignals, c.config.CgroupMode = DefaultStopSignals, CgroupOff
			in, err := json.Marshal(c.config)
			if err != nil {
				t.Fatal(err)
			}
			out := ""
			// PID 1 gives a line up that is not written in 100 ms, as on a machine that is busy.
			for try := 0; try == 0 || try < 10 && lacks(out, c.log) != ""; try++ {
				out = wholeRun(t, string(in), c.status)
			}
			if want := lacks(out, c.log); want != "" {
				t.Errorf("no %q in\n%s", want, out)
			}
		})
	}
}

func wholeRun(t *testing.T, config string, want int) (output string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = []string{helperEnv + "=run", "PATH=" + os.Getenv("PATH"), "CONFIG=" + config}
	out, err := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != want {
		t.Errorf("status %d, want %d: %v: %s", status, want, err, out)
	}
	return string(out)
}

// lacks returns the first text that the output does not have.
func lacks(output string, texts []string) string {
	for _, text := range texts {
		if !strings.Contains(output, text) {
			return text
		}
	}
	return ""
}

func init() {
	if os.Getenv(helperEnv) == "run" {
		runtime.LockOSThread() // TestMain then runs on the main thread
	}
	helpers["run"] = func() {
		p := Begin()
		var config Config
		if err := json.Unmarshal([]byte(os.Getenv("CONFIG")), &config); err != nil {
			panic(err)
		}
		config.Env = slices.DeleteFunc(p.Env(), func(entry string) bool { return strings.HasPrefix(entry, helperEnv) })
		syscall.Exit(p.Run(config, stderrLog{world{verbose: LevelTrace}}))
	}
}

// stderrLog shows everything.
type stderrLog struct{ world }

func (l stderrLog) Log(level Level, msg string, facts ...any) {
	_, _ = Stderr{}.Write([]byte(render(level, msg, facts)))
}

func (l stderrLog) Notice(msg string, facts ...any) { l.Log(LevelWarn, msg, facts...) }
func (l stderrLog) Line(level Level, msg string, facts ...any) string {
	return render(level, msg, facts)
}

func (l stderrLog) ChildLine(level Level, msg string) string { return l.world.ChildLine(level, msg) }

func (l stderrLog) Render(level Level, msg string, facts ...any) string {
	return render(level, msg, facts)
}

func (l stderrLog) ChildRender(pid int, level Level, msg string) string {
	return l.world.ChildRender(pid, level, msg)
}
