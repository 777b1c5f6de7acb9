// Package starved takes away from an init what it could need, as processes, memory, its own
// file, the program's file, or a reader of its log. cgshim and tini-static run in the same
// conditions. cgshim has to go on, and the tests note what tini-static does.
//
//	go test ./starved            as root
//	go test ./starved -update    and write docs/survival.md's tables
//	STARVED_TIME=60s, STARVED_ORPHANS=1000000    for longer
//
// CGSHIM_STARVED names a directory with cgshim, tini-static and starved (from
// testdata/starved.c), for a machine without a compiler.
package starved

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/test/internal/lab"
)

var update = flag.Bool("update", false, "write the tables of docs/survival.md")

var (
	bin    string // directory of the programs, which every user may read
	helper string // path of the program starved
)

func TestMain(m *testing.M) {
	flag.Parse()
	bin = os.Getenv("CGSHIM_STARVED")
	if bin == "" && os.Geteuid() == 0 {
		var err error
		if bin, err = stage(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	helper = bin + "/starved"
	status := m.Run()
	if os.Getenv("CGSHIM_STARVED") == "" {
		_ = os.RemoveAll(bin)
	}
	if status == 0 && *update {
		if err := writePage(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

// stage copies and builds the programs in a directory where every user may execute them.
func stage() (string, error) {
	dir, err := os.MkdirTemp("", "cgshim-starved-")
	if err != nil {
		return "", err
	}
	_, here, _, _ := runtime.Caller(0)
	here = filepath.Dir(here)
	cgshim := os.Getenv("CGSHIM_BIN")
	if cgshim == "" {
		cgshim = filepath.Join(here, "../../bin/cgshim")
	}
	err = os.Chmod(dir, 0o755)
	if err == nil {
		err = install(dir, cgshim, lab.TiniStatic)
	}
	if err == nil { // under another name it has other defaults
		err = os.Link(dir+"/"+filepath.Base(cgshim), dir+"/docker-init")
	}
	if err == nil {
		var said []byte
		said, err = exec.Command("cc", "-static", "-O1", "-Wall", "-Wextra", "-o", dir+"/starved", here+"/testdata/starved.c").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("cc: %w: %s", err, said)
		}
	}
	return dir, err
}

// install copies programs into a directory, under their own names.
func install(dir string, files ...string) error {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// A side is an init under test.
type side struct {
	name    string
	options []string // that the init always has
	tini    bool
}

func (s side) path() string { return bin + "/" + s.name }

var (
	cgshim = side{"cgshim", []string{"--cgroup=off"}, false}
	tini   = side{"tini-static", nil, true}
)

// run returns the init, not yet started, as PID 1 with these arguments.
func (s side) run(args ...string) *lab.Run {
	return &lab.Run{Path: s.path(), Args: slices.Concat(s.options, args), PID1: true}
}

// by has a launcher execute the init. The launcher is an argument list of starved.
func by(r *lab.Run, launcher ...string) *lab.Run {
	r.Args = slices.Concat(launcher, []string{r.Path}, r.Args)
	r.Path = helper
	return r
}

// limit has the init run with a resource limit as a user without privileges.
func limit(r *lab.Run, name string, value int) *lab.Run {
	r.Attr.Credential = &syscall.Credential{Uid: user(), Gid: user()}
	return by(r, "limit", name, strconv.Itoa(value))
}

// user returns a user that has no processes on this machine, because RLIMIT_NPROC counts all
// processes of the user (getrlimit(2)).
func user() uint32 { return 1_000_000 + uint32(os.Getpid()%1_000_000) }

// A sight says what became of an init, and whether that is good.
type sight struct {
	good bool
	text string
}

// hasNot is the sight of an init without the option that a test is about.
var hasNot = sight{false, "has no such option"}

// both runs a test with cgshim and with tini-static, and notes a row of the table. A bad
// sight fails the test of cgshim only.
func both(t *testing.T, what string, look func(t *testing.T, s side) sight) {
	t.Helper()
	lab.Root(t)
	seen := map[string]string{}
	for _, s := range []side{cgshim, tini} {
		t.Run(s.name, func(t *testing.T) {
			got := look(t, s)
			seen[s.name] = got.text
			t.Log(got.text)
			if !s.tini && !got.good {
				t.Error(got.text)
			}
		})
	}
	note(what, seen[cgshim.name], seen[tini.name])
}

// within waits for a condition at most for limit, and reports whether it holds.
func within(limit time.Duration, holds func() bool) bool {
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// patience is the longest time to wait for something that must happen. It is shorter for
// tini-static, because what tini-static does cannot fail the test.
func (s side) patience() time.Duration {
	if s.tini {
		return 5 * time.Second
	}
	return 60 * time.Second
}

func dead(r *lab.Run) bool {
	state := lab.Status(r.PID(), "State")
	return state == "" || state[0] == 'Z'
}

// listening waits until the program says a word, and reports whether the init lives.
func listening(t *testing.T, r *lab.Run, word string) bool {
	t.Helper()
	said := func() bool { return strings.Contains(r.Stdout.String(), word+"\n") }
	lab.Until(t, "the program to say "+word+", or the end", func() bool { return said() || dead(r) })
	return said() && !dead(r)
}

// end sends a signal and waits until the init ends, which it should do with the status want.
func end(t *testing.T, s side, r *lab.Run, sig syscall.Signal, want int) sight {
	t.Helper()
	began := time.Now()
	if err := syscall.Kill(r.PID(), sig); err != nil {
		t.Fatal(err)
	}
	if !within(s.patience(), func() bool { return dead(r) }) {
		return sight{false, fmt.Sprintf("%s does not end it within %v", unix.SignalName(sig), s.patience())}
	}
	took := time.Since(began)
	return ended(r, r.Wait(t), want, took)
}

// startAndEnd starts an init, and ends it with TERM when the program is ready.
func startAndEnd(t *testing.T, s side, r *lab.Run) sight {
	t.Helper()
	r.Start(t)
	if !listening(t, r, "ready") {
		return ended(r, r.Wait(t), 0, 0)
	}
	return end(t, s, r, syscall.SIGTERM, 42)
}

// ended returns the sight of an init that has exited. A negative took leaves out the time.
func ended(r *lab.Run, status, want int, took time.Duration) sight {
	switch {
	case status == want && took < 0:
		return sight{true, fmt.Sprintf("exits with %d", status)}
	case status == want:
		return sight{true, fmt.Sprintf("ends in %s with %d", short(took), status)}
	}
	text := fmt.Sprintf("ends with %d", status)
	if line := lastLine(r.Stderr.String()); line != "" {
		text += fmt.Sprintf(": %.200s", line)
	}
	return sight{false, text}
}

func short(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// count returns the number in a variable of the environment, or otherwise if it is not set.
func count(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	v := os.Getenv(variable)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		t.Fatalf("%s: %q is not a number", variable, v)
	}
	return n
}

// A control is a value for a file of a cgroup. The file has another name in cgroup v1 than
// in v2.
type control struct {
	controller, v1, v2 string
	value              int
}

func pidsMax(n int) control     { return control{"pids", "pids.max", "pids.max", n} }
func memoryLimit(n int) control { return control{"memory", "memory.limit_in_bytes", "memory.max", n} }

// groups makes cgroups with these controls and returns the launcher that enters them.
func groups(t *testing.T, controls ...control) (launcher []string) {
	t.Helper()
	for i, c := range controls {
		dir, v1 := newGroup(t, c.controller, launcher)
		name := c.v2
		if v1 {
			name = c.v1
		}
		if err := os.WriteFile(dir+"/"+name, []byte(strconv.Itoa(c.value)), 0); err != nil {
			t.Fatal(err)
		}
		if i > 0 && !v1 {
			continue // the cgroup of the first control
		}
		if i > 0 {
			launcher = append(launcher, helper)
		}
		launcher = append(launcher, "in", dir)
	}
	return launcher
}

// newGroup makes a cgroup with a controller. The cgroup is in v1 if this machine has the
// controller there. In v2 one cgroup has all controllers, so newGroup returns the cgroup of
// the launcher if there is one. The freezer is no controller in v2, for every cgroup has it.
func newGroup(t *testing.T, controller string, launcher []string) (dir string, v1 bool) {
	t.Helper()
	top := "/sys/fs/cgroup/" + controller
	if _, err := os.Stat(top + "/cgroup.procs"); err == nil {
		v1 = true
	} else {
		top = "/sys/fs/cgroup"
		controllers, err := os.ReadFile(top + "/cgroup.controllers")
		has := controller == "freezer" || slices.Contains(strings.Fields(string(controllers)), controller)
		lab.Need(t, err == nil && has, "the cgroup controller "+controller)
		if controller != "freezer" {
			if err := os.WriteFile(top+"/cgroup.subtree_control", []byte("+"+controller), 0); err != nil {
				t.Fatal(err)
			}
		}
		if launcher != nil {
			return launcher[len(launcher)-1], false
		}
	}
	dir, err := os.MkdirTemp(top, "cgshim-starved-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		lab.Until(t, dir+" to be removed", func() bool { return syscall.Rmdir(dir) == nil })
	})
	return dir, v1
}

// kilobytes returns a field of /proc/PID/smaps_rollup.
func kilobytes(t *testing.T, pid int, field string) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == field+":" {
			n, _ := strconv.Atoi(fields[1])
			return n
		}
	}
	t.Fatalf("no %s", field)
	return 0
}

func children(pid int) int { return len(childrenOf(pid)) }

func childrenOf(pid int) (pids []int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, field := range strings.Fields(string(data)) {
		child, _ := strconv.Atoi(field)
		pids = append(pids, child)
	}
	return pids
}

// rows are the first table of docs/survival.md, in the order of the tests.
var rows [][3]string

func note(what, ours, tinis string) { rows = append(rows, [3]string{what, ours, tinis}) }
