// Package builds builds cgshim in every way that people build Go programs, and runs each
// binary as PID 1.
//
// By default the tests leave out the builds that need a C compiler or another release of Go.
// CGSHIM_BUILDS=all selects every build. CGSHIM_GOS lists the other releases, as values of
// GOTOOLCHAIN.
package builds

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
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

var root = func() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../..")
}()

// A build is a way to make the binary.
type build struct {
	name string
	args []string // arguments of go build, or nil for make build
	cgo  bool
	gos  string // GOTOOLCHAIN, or "" for the go that runs the test
	slow bool   // runs only with CGSHIM_BUILDS=all

	native bool // has the entry point. Other builds are portable, and say so.
	covers bool // writes to GOCOVERDIR
}

// native reports whether this port has an entry point.
var native = func() bool {
	_, err := os.Stat(filepath.Join(root, "shim/pid1/entry_"+runtime.GOARCH+".s"))
	return err == nil
}()

func builds() []build {
	all := []build{
		{name: "make", native: native},
		{name: "plain", args: []string{}},
		{name: "as most projects", args: []string{"-trimpath", "-ldflags=-s -w"}},
		{name: "PIE", args: []string{"-buildmode=pie"}},
		{name: "debug", args: []string{"-gcflags=all=-N -l"}},
		{name: "cover", args: []string{"-cover"}, covers: true},
		{name: "cgo", args: []string{}, cgo: true, slow: true},
		{name: "race", args: []string{"-race"}, cgo: true, slow: true},
		{name: "linked by the C linker", args: []string{"-ldflags=-linkmode=external"}, cgo: true, slow: true},
		{name: "static PIE", args: []string{"-tags=netgo,osusergo", "-buildmode=pie", "-ldflags=-linkmode=external -extldflags=-static-pie"}, cgo: true, slow: true},
	}
	for _, toolchain := range strings.Fields(os.Getenv("CGSHIM_GOS")) {
		all = append(all,
			build{name: toolchain + " make", gos: toolchain, slow: true, native: native},
			build{name: toolchain + " plain", gos: toolchain, slow: true, args: []string{}},
			build{name: toolchain + " PIE", gos: toolchain, slow: true, args: []string{"-buildmode=pie"}})
	}
	return slices.DeleteFunc(all, func(b build) bool { return b.slow && os.Getenv("CGSHIM_BUILDS") != "all" })
}

// Inits inherit ignored signals, and these tests send them some. nohup(1) ignores SIGHUP, and
// a shell ignores SIGINT for what it starts in the background.
func TestMain(m *testing.M) {
	for _, sig := range []os.Signal{unix.SIGHUP, unix.SIGINT} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig) // a child then has the default action
		}
	}
	os.Exit(m.Run())
}

// However cgshim is built, it must return the right status, forward signals and reap as PID 1.
// --version must say whether the build is portable.
func TestBuilds(t *testing.T) {
	lab.Root(t)
	for _, b := range builds() {
		t.Run(b.name, func(t *testing.T) {
			bin := b.make(t)
			t.Run("version", func(t *testing.T) { testVersion(t, b, bin) })
			t.Run("status", func(t *testing.T) { testStatus(t, b, bin) })
			t.Run("signals", func(t *testing.T) { testSignals(t, bin) })
			t.Run("orphans", func(t *testing.T) { testOrphans(t, bin) })
			t.Run("limits", func(t *testing.T) { testLimits(t, b, bin) })
			if b.covers {
				t.Run("coverage", func(t *testing.T) { testCoverage(t, bin) })
			}
		})
	}
}

// make returns the binary. The variables are for the Makefile.
func (b build) make(t *testing.T, variables ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "cgshim")
	cmd := exec.Command("go", append(append([]string{"build", "-o", bin}, b.args...), ".")...)
	if b.args == nil {
		cmd = exec.Command("make", append([]string{"-s", "build", "OUT=" + bin}, variables...)...)
	}
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if b.cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if b.gos != "" {
		cmd.Env = append(cmd.Env, "GOTOOLCHAIN="+b.gos)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
	if b.gos != "" {
		out, err := exec.Command("go", "version", bin).Output()
		if err != nil || !strings.Contains(string(out), ": "+b.gos) {
			t.Fatalf("built by %s, %v; want %s", out, err, b.gos)
		}
	}
	return bin
}

// run runs the binary as PID 1 of a PID namespace. Its environment is PATH and env.
func run(t *testing.T, bin string, env []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := command(t, bin, env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	return result(&out, &errs, cmd.Run())
}

func result(out, errs *bytes.Buffer, err error) (string, string, int) {
	var ended *exec.ExitError
	switch {
	case err == nil:
		return out.String(), errs.String(), 0
	case errors.As(err, &ended):
		return out.String(), errs.String(), ended.ExitCode() // -1 if a signal ended it
	}
	return out.String(), err.Error(), -1
}

func command(t *testing.T, bin string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func testVersion(t *testing.T, b build, bin string) {
	stdout, stderr, status := run(t, bin, nil, "--version")
	if !strings.HasPrefix(stdout, "cgshim version ") || status != 0 {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	if says := strings.Contains(stdout, " (portable build) "); says == b.native {
		t.Errorf("native: %v, --version says %q", b.native, stdout)
	}
}

func testStatus(t *testing.T, b build, bin string) {
	for _, c := range []struct {
		name   string
		args   []string
		status int
	}{
		{"the child's", []string{"--", "sh", "-c", "exit 7"}, 7},
		{"a signal's", []string{"--", "sh", "-c", "kill -KILL $$"}, 128 + 9},
		{"not found", []string{"--", "no-such-program"}, 127},
	} {
		if _, stderr, status := run(t, bin, nil, c.args...); status != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, status, c.status, stderr)
		}
	}
	if !b.native {
		return
	}
	// Variables for Go's runtime reach only the program, because PID 1 hides them from its
	// helpers.
	stdout, stderr, status := run(t, bin, []string{"GOMEMLIMIT=abc", "GODEBUG=x=y"}, "--", "sh", "-c", "echo $GOMEMLIMIT $GODEBUG")
	if stdout != "abc x=y\n" || status != 0 {
		t.Errorf("GOMEMLIMIT=abc: status %d: %s%s", status, stdout, stderr)
	}
}

func testSignals(t *testing.T, bin string) {
	cmd := command(t, bin, nil, "--", "sh", "-c", "trap 'echo HUP' HUP; trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for _, step := range []struct {
		wait string
		send syscall.Signal
	}{{"ready\n", syscall.SIGHUP}, {"HUP\n", syscall.SIGTERM}} {
		for buf := make([]byte, 64); !strings.HasSuffix(said, step.wait); {
			n, err := out.Read(buf)
			said += string(buf[:n])
			if err != nil {
				_ = cmd.Wait()
				t.Fatalf("the child said %q, then %v; PID 1: %v", said, err, cmd.ProcessState)
			}
		}
		if err := cmd.Process.Signal(step.send); err != nil {
			t.Fatal(err)
		}
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 42 {
		t.Errorf("%v, want status 42", cmd.ProcessState)
	}
}

func testOrphans(t *testing.T, bin string) {
	const orphan = "orphan=$( (sleep 0.1 >/dev/null & echo $!) ); while kill -0 $orphan 2>/dev/null; do sleep 0.02; done"
	if _, stderr, status := run(t, bin, nil, "-w", "--", "sh", "-c", orphan); status != 0 || !strings.Contains(stderr, "reaped") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// Go raises the soft limit of open files before main (package os). PID 1 has no runtime, so
// the program must get the original limit. The program must also ignore the signals that the
// init ignored at its start.
func testLimits(t *testing.T, b build, bin string) {
	if !b.native {
		return
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	const soft = "1000"
	if limit.Max <= 1000 {
		t.Fatalf("a hard limit of %d: too low to tell the difference", limit.Max)
	}
	cmd := command(t, "/bin/sh", nil, "-c", "ulimit -Sn "+soft+`; exec "$0" -- sh -c "ulimit -Sn; trap"`, bin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	stdout, stderr, status := result(&out, &errs, cmd.Run())
	if stdout != soft+"\n" || status != 0 {
		t.Errorf("status %d: the child's limit is %q, want %s: %s", status, stdout, soft, stderr)
	}
	out.Reset()
	cmd = command(t, "/bin/sh", nil, "-c", `trap "" USR1; exec "$0" -- sed -n "s/^SigIgn:.//p" /proc/self/status`, bin)
	cmd.Stdout, cmd.Stderr = &out, &errs
	stdout, stderr, status = result(&out, &errs, cmd.Run())
	// posix_spawn(3) of glibc, as make uses it, has a child ignore 32 and 33.
	const usr1, internal = 1 << (unix.SIGUSR1 - 1), 1<<(32-1) | 1<<(33-1)
	if ignored, err := strconv.ParseUint(strings.TrimSpace(stdout), 16, 64); ignored&^internal != usr1 || err != nil || status != 0 {
		t.Errorf("status %d: the child ignores %q, want USR1: %s", status, stdout, stderr)
	}
}

func testCoverage(t *testing.T, bin string) {
	dir := t.TempDir()
	if _, stderr, status := run(t, bin, []string{"GOCOVERDIR=" + dir}, "--", "sh", "-c", "exit 7"); status != 7 {
		t.Errorf("status %d: %s", status, stderr)
	}
	out, err := exec.Command("go", "tool", "covdata", "percent", "-i="+dir).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "github.com/cgshim/cgshim") {
		t.Errorf("%v: %s", err, out)
	}
}
