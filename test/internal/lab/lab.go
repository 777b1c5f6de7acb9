// Package lab starts inits, in PID namespaces of their own if need be, and observes them.
package lab

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Binaries of the peers, from Debian's packages.
const (
	Tini       = "/usr/bin/tini"
	TiniStatic = "/usr/bin/tini-static"
	DumbInit   = "/usr/bin/dumb-init"
)

// Root skips a test without root. With CGSHIM_MUST_RUN it fails the test.
func Root(t testing.TB) {
	t.Helper()
	Need(t, os.Geteuid() == 0, "root")
}

// Need skips a test if a condition does not hold. With CGSHIM_MUST_RUN it fails the test.
func Need(t testing.TB, holds bool, what string) {
	t.Helper()
	if holds {
		return
	}
	if os.Getenv("CGSHIM_MUST_RUN") != "" {
		t.Fatalf("needs %s, and CGSHIM_MUST_RUN is set", what)
	}
	t.Skipf("needs %s", what)
}

// Cgshim returns the path of the binary under test, from CGSHIM_BIN or else bin/cgshim of the
// repository.
func Cgshim(t testing.TB) string {
	t.Helper()
	bin := os.Getenv("CGSHIM_BIN")
	if bin == "" {
		_, here, _, _ := runtime.Caller(0)
		bin = filepath.Join(filepath.Dir(here), "../../../bin/cgshim")
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: run make build", err)
	}
	return bin
}

var probe = sync.OnceValues(func() (string, error) {
	_, here, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(here), "testdata", "probe.c")
	out := filepath.Join(os.TempDir(), "cgshim-probe-"+strconv.Itoa(os.Getpid()))
	if msg, err := exec.Command("cc", "-static", "-O1", "-Wall", "-Wextra", "-o", out, source).CombinedOutput(); err != nil {
		return "", errors.New(string(msg) + err.Error())
	}
	return out, os.Chmod(out, 0o755)
})

// Probe returns the path of the program that tests run under an init. It builds the program
// from testdata/probe.c.
func Probe(t testing.TB) string {
	t.Helper()
	bin, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// Cleanup removes the binary that Probe built. Call it from TestMain.
func Cleanup() {
	if bin, err := probe(); err == nil {
		_ = os.Remove(bin)
	}
}

// Environ returns the environment of the test, without the variables of the tests that have
// the prefix of cgshim's variables.
func Environ() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "CGSHIM_") })
}

// Run is one init with its program.
type Run struct {
	Path  string   // the binary
	Name  string   // argv[0], by default Path
	Args  []string // the other arguments
	Env   []string // by default [Environ]
	Dir   string
	PID1  bool // run as PID 1 of a new PID namespace
	Stdin io.Reader
	Extra []*os.File
	// ErrorTo gets the standard error, by default Stderr does.
	ErrorTo *os.File
	Attr    syscall.SysProcAttr

	Cmd            *exec.Cmd
	Stdout, Stderr *Buffer
}

// Buffer collects the output of a process.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Start starts the init. At its end the test kills the init, and with a PID 1 the kernel kills
// all processes of the PID namespace.
func (r *Run) Start(t testing.TB) {
	t.Helper()
	r.Cmd = exec.Command(r.Path, r.Args...)
	if r.Name != "" {
		r.Cmd.Args[0] = r.Name
	}
	r.Stdout, r.Stderr = new(Buffer), new(Buffer)
	r.Cmd.Stdout, r.Cmd.Stderr, r.Cmd.Stdin = r.Stdout, r.Stderr, r.Stdin
	if r.ErrorTo != nil {
		r.Cmd.Stderr = r.ErrorTo
	}
	if r.Env == nil {
		r.Env = Environ()
	}
	r.Cmd.Env, r.Cmd.Dir, r.Cmd.ExtraFiles = r.Env, r.Dir, r.Extra
	r.Cmd.WaitDelay = 10 * time.Second
	attr := r.Attr
	if r.PID1 {
		attr.Cloneflags |= syscall.CLONE_NEWPID
	}
	attr.Pdeathsig = syscall.SIGKILL
	r.Cmd.SysProcAttr = &attr
	if err := r.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Cmd.Process.Kill()
		_, _ = r.Cmd.Process.Wait()
	})
}

// Wait returns the exit status, or 128+n if signal n ended the init itself.
func (r *Run) Wait(t testing.TB) int {
	t.Helper()
	err := r.Cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
			return 128 + int(status.Signal())
		}
		return exit.ExitCode()
	}
	t.Fatal(err)
	return -1
}

// Do starts the init and waits for its end.
func (r *Run) Do(t testing.TB) int {
	t.Helper()
	r.Start(t)
	return r.Wait(t)
}

// PID returns the PID of the init in this PID namespace.
func (r *Run) PID() int { return r.Cmd.Process.Pid }

// Child returns the PID of the program in this PID namespace. A child that has the binary of
// the init is a helper of the init, or has not executed the program yet.
func (r *Run) Child(t testing.TB) int {
	t.Helper()
	child := 0
	Until(t, "the init's child", func() bool {
		own, _ := os.Readlink("/proc/" + strconv.Itoa(r.PID()) + "/exe")
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(r.PID()) + "/task/" + strconv.Itoa(r.PID()) + "/children")
		for _, pid := range strings.Fields(string(data)) {
			if exe, err := os.Readlink("/proc/" + pid + "/exe"); err == nil && exe != own {
				child, _ = strconv.Atoi(pid)
			}
		}
		return child != 0
	})
	return child
}

// Cgroup makes a cgroup in the machine's v2 hierarchy and enables the controllers that the
// hierarchy has.
func Cgroup(t testing.TB) (dir string) {
	t.Helper()
	top := "/sys/fs/cgroup"
	if _, err := os.Stat(top + "/unified"); err == nil { // a hybrid host
		top += "/unified"
	}
	controllers, err := os.ReadFile(top + "/cgroup.controllers")
	Need(t, err == nil && len(controllers) > 1, "a cgroup2 hierarchy with a controller")
	enabled, err := os.ReadFile(top + "/cgroup.subtree_control")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(controllers)) {
		if slices.Contains(strings.Fields(string(enabled)), name) {
			continue
		}
		if err := os.WriteFile(top+"/cgroup.subtree_control", []byte("+"+name), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.WriteFile(top+"/cgroup.subtree_control", []byte("-"+name), 0) })
	}
	dir, err = os.MkdirTemp(top, "cgshim-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		Until(t, "the test's cgroup to be removed", func() bool {
			for _, leaf := range []string{"init", "spare"} {
				_ = syscall.Rmdir(dir + "/" + leaf)
			}
			return syscall.Rmdir(dir) == nil
		})
	})
	return dir
}

// Until waits until a condition holds, and fails the test after two minutes.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Status returns a field of /proc/PID/status, or "" if the process has ended.
func Status(pid int, key string) string {
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// InCall reports whether a process waits in a system call (proc_pid_syscall(5)).
func InCall(pid, number int) bool {
	call, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/syscall")
	in, _, _ := strings.Cut(string(call), " ")
	return in == strconv.Itoa(number)
}
