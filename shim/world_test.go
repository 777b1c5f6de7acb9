package shim

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
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

// program is the PID of the program in every world.
const program = 7

// world plays the kernel and the log for a shim. Its time passes only while the shim
// waits.
type world struct {
	t       *testing.T
	clock   time.Duration
	write   time.Duration // how long it takes to write a line
	moves   []move
	pending process.Set
	verbose Level
	trace   []string // the system calls and log lines, in order

	ended     []reaper.Exit // children that ended and are not reaped
	living    int           // number of live children
	strangers bool          // other processes are alive
	mortal    bool          // SIGKILL and SIGTERM end the program
	refuse    map[int]syscall.Errno
	tracees   map[int]syscall.Errno // answer to PTRACE_DETACH for each traced child
	oomKills  uint64
	noCgroup  bool // memory.events cannot be read
	noKill    unix.Errno
	execve    syscall.Errno
	noSignals syscall.Errno // a sandbox refuses to wait for signals
	noWait    syscall.Errno // and for children
	viaShell  bool
	mounts    error
	silent    bool // no file system answers
}

// A move is the next event. After some time a signal arrives.
type move struct {
	after time.Duration
	event process.Event
	do    func(w *world)
}

func signalled(sig process.Signal) move { return move{event: process.Event{Signal: sig}} }

// ends makes a child end or stop, with a SIGCHLD.
func ends(pid int, status unix.WaitStatus) move {
	return move{event: process.Event{Signal: unix.SIGCHLD}, do: func(w *world) {
		w.ended = append(w.ended, reaper.Exit{PID: pid, Status: status})
	}}
}

func (m move) in(d time.Duration) move {
	m.after = d
	return m
}

// Wait statuses in the kernel's encoding (wait(2), include/linux/wait.h).
func exited(code int) unix.WaitStatus              { return unix.WaitStatus(code << 8) }
func killed(sig process.Signal) unix.WaitStatus    { return unix.WaitStatus(sig) }
func dumped(sig process.Signal) unix.WaitStatus    { return unix.WaitStatus(sig) | 0x80 }
func stoppedBy(sig process.Signal) unix.WaitStatus { return unix.WaitStatus(sig)<<8 | 0x7f }

// newWorld returns a shim whose program runs in a new world.
func newWorld(t *testing.T, config Config, moves ...move) (*shim, *world) {
	t.Helper()
	w := &world{t: t, moves: moves, verbose: LevelTrace, clock: time.Hour, refuse: map[int]syscall.Errno{}, tracees: map[int]syscall.Errno{}}
	if config.Args == nil {
		config.Args = []string{"/bin/program"}
	}
	if config.StopSignals == 0 {
		config.StopSignals = DefaultStopSignals()
	}
	s := newShim(config, w, w)
	s.system = system{
		start: func(*process.Program) (int, syscall.Errno) { return program, w.execve }, kill: w.kill, reap: w.reap, noWait: func() syscall.Errno { return w.noWait }, detach: w.detach,
		now:       func() time.Duration { return w.clock },
		pin:       func() { w.did("pin") },
		ask:       w.ask,
		container: func(bool) container { return w },
		mount:     w.mount,
	}
	s.pid1 = true
	s.child, s.program, s.started, s.cgroup = program, w, w.clock, w
	s.prepareLines()
	return s, w
}

// The container's cgroup.

func (w *world) OOMKills() (uint64, bool) { return w.oomKills, !w.noCgroup }

func (w *world) KillOthers() unix.Errno {
	w.did("cgroup.kill")
	return w.noKill
}

// The world has no limits to follow, so nothing calls Watch.
func (w *world) Watch(int) error { return nil }

func (w *world) Refused() syscall.Errno { return w.noSignals }

func (w *world) did(format string, args ...any) {
	if len(w.trace) > 50_000 {
		w.t.Fatalf("it does not come to an end after %q", w.trace[:10])
	}
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// Next delivers the moves.
func (w *world) Next(limit time.Duration) (process.Event, bool) {
	switch {
	case len(w.moves) == 0 && limit == process.Forever:
		w.t.Fatalf("it waits for ever after %q", w.trace)
	case limit < 0:
		w.t.Fatalf("it waits for %v", limit)
	case len(w.moves) == 0:
		w.clock += limit
		return process.Event{}, false
	}
	m := &w.moves[0]
	if m.after > limit {
		w.clock += limit
		m.after -= limit
		return process.Event{}, false
	}
	w.clock += m.after
	next := *m
	w.moves = w.moves[1:]
	if next.do != nil {
		next.do(w)
	}
	return next.event, true
}

func (w *world) Pending() process.Set { return w.pending }

func (w *world) kill(pid int, sig process.Signal) syscall.Errno {
	if sig == 0 {
		if pid == -1 && (w.living > 0 || w.strangers) {
			return 0
		}
		return unix.ESRCH
	}
	w.did("kill %d %s", pid, process.SignalName(sig))
	errno := w.refuse[pid]
	if errno == 0 && w.mortal && (pid == program || pid == -program || pid == -1) && (sig == unix.SIGKILL || sig == unix.SIGTERM) {
		w.mortal = false
		w.living = 0
		w.moves = slices.Insert(w.moves, 0, ends(program, killed(sig)))
	}
	return errno
}

func (w *world) reap(_ bool, fn func(reaper.Exit) bool) (left, more bool) {
	for i, e := range w.ended {
		if !fn(e) {
			w.ended = w.ended[i+1:]
			return true, true
		}
	}
	w.ended = nil
	return w.living > 0, false
}

func (w *world) detach(pid int, sig process.Signal) (bool, syscall.Errno) {
	errno, traced := w.tracees[pid]
	if traced {
		w.did("detach %d %s", pid, process.SignalName(sig))
		return true, errno
	}
	return false, unix.ESRCH
}

// ask answers unless the file system hangs.
func (w *world) ask(answer func() string, _ time.Duration, _ func() bool) []byte {
	if w.silent {
		return nil
	}
	return []byte(answer())
}

func (w *world) mount(source, target, fstype string, flags uintptr, _ string) error {
	w.did("mount %s %s %s %#x", source, target, fstype, flags)
	return w.mounts
}

func (w *world) Failed() syscall.Errno { return w.execve }
func (w *world) ViaShell() bool        { return w.viaShell }

func (w *world) Log(level Level, msg string, facts ...any) {
	if level <= w.verbose {
		w.did("%s", strings.TrimSuffix(render(level, msg, facts), "\n"))
	}
}

func (w *world) ChildLine(level Level, msg string) *Line {
	return w.Line(level, "("+SlotPID.Text()+") "+msg)
}

func (w *world) Render(level Level, msg string, facts ...any) string {
	return render(level, msg, facts)
}

func (w *world) Notice(msg string, facts ...any) { w.Log(LevelWarn, "notice: "+msg, facts...) }

func (w *world) Line(level Level, msg string, facts ...any) *Line {
	if level > w.verbose {
		return nil
	}
	return NewLine([]byte(render(level, msg, facts)), func(line []byte) {
		w.clock += w.write
		w.did("%s", strings.TrimSuffix(string(line), "\n"))
	})
}

func render(level Level, msg string, facts []any) string {
	line := [...]string{"error", "warn", "info", "debug", "trace"}[level] + " " + msg
	for i := 0; i < len(facts); i += 2 {
		value := fmt.Sprint(facts[i+1])
		if slot, ok := facts[i+1].(Slot); ok {
			if value = slot.Text(); slot.IsNumber() {
				value = fmt.Sprint(slot.Number())
			}
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
