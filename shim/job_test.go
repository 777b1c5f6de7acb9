package shim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim/pid1"
)

// helpers are functions that the test binary runs instead of the tests. A test that
// needs a process of its own starts this binary again with the name of a helper.
var helpers = map[string]func(){}

const helperEnv = "CGSHIM_TEST_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helpers[name]()
		syscall.Exit(0) // os.Exit would print a warning in a binary with coverage
	}
	os.Exit(m.Run())
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
	// A child has a child of its own. Both end at the end of standard input.
	helpers["parent"] = func() {
		child := exec.Command("/proc/self/exe")
		child.Env = []string{helperEnv + "=reader"}
		child.Stdin = os.Stdin
		if err := child.Start(); err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(fmt.Sprintln(child.Process.Pid))
		_ = child.Wait()
	}
	helpers["reader"] = func() { _, _ = os.Stdin.Read(make([]byte, 1)) }
}

// startReader starts a helper that ends at the end of standard input, which is the test's.
func startReader(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
}

// program is the PID of the program in these tests.
const program = 7

// world plays the kernel and the log for a job.
type world struct {
	t       *testing.T
	verbose Level
	trace   []string // what was done and logged, in order

	mounts   error
	undo     []error // answers of undo
	state    cgroup.State
	oomKills uint64
	noCgroup bool // memory.events cannot be read
}

// newJob returns a job in a new world.
func newJob(t *testing.T, config Config) (*job, *world) {
	t.Helper()
	w := &world{t: t, verbose: LevelTrace}
	if config.Args == nil {
		config.Args = []string{"/bin/program"}
	}
	if config.StopSignals == 0 {
		config.StopSignals = DefaultStopSignals
	}
	j := &job{Config: config, log: w, orders: &pid1.Orders{PID: os.Getpid(), Parent: os.Getppid(), Notify: -1, OldNamespace: -1}}
	j.kernel = system{
		delegate: func(cgroup.Mode, cgroup.Options) (*cgroup.Report, error) {
			return nil, errors.New("the test does not delegate")
		},
		undo: func(cgroup.Options) (err error) {
			w.did("undo")
			if len(w.undo) > 0 {
				err, w.undo = w.undo[0], w.undo[1:]
			}
			return err
		},
		decide:   func(cgroup.Options) *cgroup.Plan { return &cgroup.Plan{State: w.state} },
		oomKills: func(bool) (uint64, bool) { return w.oomKills, !w.noCgroup },
		mount:    w.mount,
	}
	return j, w
}

func (w *world) mount(source, target, fstype string, flags uintptr, _ string) error {
	w.did("mount %s %s %s %#x", source, target, fstype, flags)
	return w.mounts
}

func (w *world) did(format string, args ...any) {
	w.trace = append(w.trace, strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"))
}

func (w *world) Log(level Level, msg string, facts ...any) {
	if level <= w.verbose {
		w.did("%s", render(level, msg, facts))
	}
}

func (w *world) Notice(msg string, facts ...any) { w.Log(LevelWarn, "notice: "+msg, facts...) }

func (w *world) Line(level Level, msg string, facts ...any) string {
	if level > w.verbose {
		return ""
	}
	return render(level, msg, facts)
}

func (w *world) Render(level Level, msg string, facts ...any) string {
	return w.Line(level, msg, facts...)
}

func (w *world) ChildLine(level Level, msg string) string {
	return w.Line(level, "("+SlotPID.Mark()+") "+msg)
}

func (w *world) ChildRender(pid int, level Level, msg string) string {
	return w.Line(level, fmt.Sprintf("(%d) %s", pid, msg))
}

func render(level Level, msg string, facts []any) string {
	line := [...]string{"error", "warn", "info", "debug", "trace"}[level] + " " + msg
	for i := 0; i < len(facts); i += 2 {
		value := fmt.Sprint(facts[i+1])
		if slot, ok := facts[i+1].(Slot); ok {
			value = slot.Mark()
		}
		line += fmt.Sprintf(" %s=%s", facts[i], value)
	}
	return line + "\n"
}

// wants compares the trace with the expected one.
func (w *world) wants(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.trace, want) {
		w.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(w.trace, "\n\t"), strings.Join(want, "\n\t"))
	}
	w.trace = nil
}

// Wait statuses in the kernel's encoding (wait(2), include/linux/wait.h).
func exited(code int) uint32   { return uint32(code) << 8 }
func killed(sig Signal) uint32 { return uint32(sig) }
func dumped(sig Signal) uint32 { return uint32(sig) | 0x80 }
