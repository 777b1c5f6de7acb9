package shim

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const tinisWarning = "warn Tini is not running as PID 1 and isn't registered as a child subreaper."

func TestAdopt(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		pid1   bool
		// afterwards
		subreaper bool
		death     process.Signal
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
			if out.Err != "" || out.Subreaper != c.subreaper || process.Signal(out.Death) != c.death || !strings.HasPrefix(out.Log, c.want) || (c.want == "") != (out.Log == "") {
				t.Errorf("%+v", out)
			}
		})
	}
	t.Run("a signal that the kernel does not know is an error with its name", func(t *testing.T) {
		s, _ := newWorld(t, Config{ParentDeath: 99})
		if err := s.adopt(); !errors.Is(err, unix.EINVAL) || !strings.HasPrefix(err.Error(), "prctl PR_SET_PDEATHSIG ") {
			t.Errorf("%v", err)
		}
	})
	t.Run("tini's warning comes without a change too", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true})
		s.pid1 = false
		if err := s.adopt(); err != nil || len(w.trace) != 1 || !strings.HasPrefix(w.trace[0], tinisWarning) {
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

// answer runs the function of a helper with the test's input, and writes its result.
func answer[In, Out any](fn func(In) Out) func() {
	return func() {
		var in In
		if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(fn(in)); err != nil {
			panic(err)
		}
	}
}

// ask runs a helper.
func ask(t *testing.T, name string, in, out any) {
	t.Helper()
	question, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperEnv + "=" + name}
	cmd.Stdin = strings.NewReader(string(question))
	cmd.Stderr = os.Stderr
	data, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		t.Fatalf("%v in %q", err, data)
	}
}

func init() {
	helpers["adopt"] = answer(func(in adopting) (out adopted) {
		runtime.LockOSThread() // PR_SET_PDEATHSIG belongs to the thread
		s, w := newWorld(new(testing.T), in.Config)
		s.pid1 = in.PID1
		if err := s.adopt(); err != nil {
			out.Err = err.Error()
		}
		out.Log, out.Subreaper = strings.Join(w.trace, "\n"), isSubreaper()
		var death int32
		if err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&death)), 0, 0, 0); err != nil {
			out.Err = err.Error()
		}
		out.Death = int(death)
		return out
	})
}

// A whole run in a process that is not PID 1.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		name, script string
		config       Config
		status       int
		log          []string // texts in the log
	}{
		{name: "the status is the program's", script: "exit 7", status: 7, log: []string{"info child exited pid="}},
		{name: "a signal is 128 and its number", script: "kill -9 $$", status: 137, log: []string{"warn child ended by signal"}},
		{name: "a signal reaches the program", script: "trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.1; done", status: 9, log: []string{"debug forwarding signal signal=SIGTERM"}},
		{name: "an orphan is reaped", script: "f=$(mktemp -u); mkfifo $f; p=$(sh -c \"{ read x <$f; } >/dev/null & echo \\$!\"); echo >$f; rm $f; while kill -0 $p 2>/dev/null; do :; done; exit 3", status: 3, log: []string{"debug reaped orphan pid=", "info child exited pid="}},
		{name: "a stop time-out kills", script: "trap '' TERM; kill -TERM $PPID; while :; do sleep 0.1; done", config: Config{StopTimeout: 1}, status: 137, log: []string{"warn child did not stop in time"}},
		{name: "what is left gets TERM", script: "sleep 1000 >/dev/null 2>&1 & exit 4", config: Config{DrainTimeout: 1e11}, status: 4, log: []string{"info draining timeout="}},
		{name: "no such program", config: Config{Args: []string{"/no/such"}}, status: 127, log: []string{"error cannot execute program=/no/such err=no such file or directory reason=no such file"}},
		{name: "--exec of none", config: Config{Exec: true, Args: []string{"/no/such"}}, status: 127, log: []string{"error cannot execute program=/no/such"}},
		{name: "a zero byte in the name", config: Config{Args: []string{"a\x00"}}, status: 1, log: []string{"error cannot execute"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.config.Args == nil {
				c.config.Args = []string{"/bin/sh", "-c", c.script}
			}
			c.config.StopSignals, c.config.CgroupMode = DefaultStopSignals(), CgroupOff
			in, err := json.Marshal(c.config)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{helperEnv + "=run", "PATH=" + os.Getenv("PATH"), "CONFIG=" + string(in)}
			out, err := cmd.CombinedOutput()
			if status := cmd.ProcessState.ExitCode(); status != c.status {
				t.Errorf("status %d, want %d: %v: %s", status, c.status, err, out)
			}
			for _, want := range c.log {
				if !strings.Contains(string(out), want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
		})
	}
}

func init() {
	if os.Getenv(helperEnv) == "run" {
		runtime.LockOSThread() // TestMain then runs on the main thread
	}
	helpers["run"] = func() {
		signals := Claim()
		var config Config
		if err := json.Unmarshal([]byte(os.Getenv("CONFIG")), &config); err != nil {
			panic(err)
		}
		config.Env = Environ()
		syscall.Exit(Run(config, signals, stderrLog{}))
	}
}

// stderrLog shows everything.
type stderrLog struct{}

func (l stderrLog) Log(level Level, msg string, facts ...any) {
	_, _ = Stderr{}.Write([]byte(render(level, msg, facts)))
}

func (l stderrLog) Notice(msg string, facts ...any) { l.Log(LevelWarn, msg, facts...) }
func (l stderrLog) Line(level Level, msg string, facts ...any) *Line {
	return NewLine([]byte(render(level, msg, facts)), func(line []byte) { _, _ = Stderr{}.Write(line) })
}
func (l stderrLog) ChildLine(level Level, msg string) *Line { return l.Line(level, msg) }
func (stderrLog) Render(level Level, msg string, facts ...any) string {
	return render(level, msg, facts)
}
