package shim

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/pid1"
)

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		name      string
		dind      bool
		env, want []string
	}{
		{"the environment as it is", false, []string{"A=1", "", "A=2"}, []string{"A=1", "", "A=2"}},
		{"--dind adds container=docker", true, []string{"A=1"}, []string{"A=1", "container=docker"}},
		{"--dind sets an empty one", true, []string{"container=", "A=1"}, []string{"container=docker", "A=1"}},
		{"--dind keeps another", true, []string{"container=lxc"}, []string{"container=lxc"}},
		{"the first entry counts", true, []string{"container=lxc", "container="}, []string{"container=lxc", "container="}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := slices.Clone(c.env)
			j, _ := newJob(t, Config{Dind: c.dind, Env: c.env})
			if got := j.environment(); !slices.Equal(got, c.want) {
				t.Errorf("%q", got)
			}
			if !slices.Equal(j.Env, before) {
				t.Errorf("the environment of the options became %q", j.Env)
			}
		})
	}
}

// A variable of socket activation is replaced only where it names PID 1.
func TestVariable(t *testing.T) {
	for _, c := range []struct {
		env         []string
		value, name string
		want        int
	}{
		{[]string{"A=1", "LISTEN_PID=12"}, "12", "it names PID 1", 1},
		{[]string{"LISTEN_PID=13"}, "12", "it names another process", -1},
		{[]string{"LISTEN_PID=13", "LISTEN_PID=12"}, "12", "the first entry counts", -1},
		{[]string{"LISTEN_PIDFDID=12"}, "12", "it is another variable", -1},
		{[]string{"LISTEN_PID="}, "", "the kernel has no such number", -1},
		{nil, "12", "it is not set", -1},
	} {
		if got := variable(c.env, "LISTEN_PID", c.value); got != c.want {
			t.Errorf("%s: %d", c.name, got)
		}
	}
	if a, b := pidfdID(os.Getpid()), pidfdID(os.Getpid()); a != b || pidfdID(1<<22+1) != "" {
		t.Errorf("%q, %q", a, b)
	}
}

func TestSearchPath(t *testing.T) {
	long := strings.Repeat("d", 4096)
	for _, c := range []struct {
		name string
		env  []string
		want []string
	}{
		{"a/b", []string{"PATH=/x"}, []string{"a/b"}},
		{"", []string{"PATH=/x"}, []string{""}},
		{"sh", []string{"PATH=/x:/y"}, []string{"/x/sh", "/y/sh"}},
		{"sh", []string{"PATH=/x::"}, []string{"/x/sh", "sh", "sh"}},
		{"sh", []string{"PATH="}, []string{"sh"}},
		{"sh", nil, []string{"/bin/sh", "/usr/bin/sh"}},
		{"sh", []string{"PATH=" + long + ":/y"}, []string{"/y/sh"}},
		{"sh", []string{"PATH=/x", "PATH=/y"}, []string{"/x/sh"}},
	} {
		if got := searchPath(c.name, c.env); !slices.Equal(got, c.want) {
			t.Errorf("%q in %.20q: %q, want %q", c.name, c.env, got, c.want)
		}
	}
}

// PID 1 closes what it has inherited, but not a file on which it may hold a lock.
func TestInheritedDescriptors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "text", 0o644)
	open := func(flags int) int {
		fd, err := unix.Open(file, unix.O_RDWR|flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	listed := func(list func(*job)) (n int) {
		j, _ := newJob(t, Config{})
		list(j)
		for n = 256; j.orders.Close(3); n-- {
		}
		return n
	}
	for name, list := range map[string]func(*job){"by /proc": (*job).listDescriptors, "without": (*job).listWithoutProc} {
		before := listed(list)
		own := open(unix.O_CLOEXEC)
		if n := listed(list); n != before {
			t.Errorf("%s: %d descriptors, and %d with one of this process's own", name, before, n)
		}
		inherited := open(0)
		if n := listed(list); n != before+1 {
			t.Errorf("%s: %d descriptors, and %d with an inherited one", name, before, n)
		}
		lock := unix.Flock_t{Type: unix.F_WRLCK, Len: 1}
		if err := unix.FcntlFlock(uintptr(inherited), unix.F_SETLK, &lock); err != nil {
			t.Fatal(err)
		}
		if n := listed(list); n != before && procIsOurs() {
			t.Errorf("%s: %d descriptors, and %d with a locked one", name, before, n)
		}
		unix.Close(inherited)
		unix.Close(own)
	}
}

// A shell with job control is the parent, has another group and shares the session.
func TestStartedByShell(t *testing.T) {
	dir := t.TempDir()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := func(name string) string {
		file := filepath.Join(dir, name)
		if err := os.Symlink(binary, file); err != nil {
			t.Fatal(err)
		}
		return file
	}
	shell, init := parent("bash"), parent("tini")
	for _, c := range []struct {
		name, parent string
		attr         jobAttr
		want         bool
	}{
		{"a job of a shell", shell, jobAttr{Group: true}, true},
		{"a command of a script", shell, jobAttr{}, false},
		{"the leader of a session", shell, jobAttr{Session: true}, false},
		{"a child of an init", init, jobAttr{Group: true}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(c.parent)
			cmd.Env = []string{helperEnv + "=job", fmt.Sprintf("ATTR=%v %v", c.attr.Group, c.attr.Session)}
			out, err := cmd.CombinedOutput()
			if got := string(out); err != nil || got != fmt.Sprint(c.want) {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
	if startedByShell(1, 0) || startedByShell(1, os.Getpid()) || startedByShell(os.Getpid(), 0) {
		t.Error("PID 1, or a process whose parent is not seen, is no job")
	}
}

type jobAttr struct{ Group, Session bool }

func init() {
	helpers["job"] = func() {
		var a jobAttr
		if _, err := fmt.Sscanf(os.Getenv("ATTR"), "%v %v", &a.Group, &a.Session); err != nil {
			panic(err)
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{helperEnv + "=asked"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: a.Group, Setsid: a.Session}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			panic(err)
		}
	}
	helpers["asked"] = func() { fmt.Print(startedByShell(os.Getpid(), os.Getppid())) }
}

func TestWriteInPID1(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, "", 0o644)
	j, _ := newJob(t, Config{})
	if err := j.writeInPID1(file, "text"); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(file); string(got) != "text" {
		t.Errorf("%q, %v", got, err)
	}
	if err := j.writeInPID1(filepath.Join(file, "nosuch"), "text"); err != unix.ENOTDIR {
		t.Errorf("%v", err)
	}
}

func TestOOMScoreAdj(t *testing.T) {
	before, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string][]string{
		"": nil, strings.TrimSpace(string(before)): nil, "soon": {"warn oom_score_adj not set value=soon err=invalid argument"},
	} {
		j, w := newJob(t, Config{OOMScoreAdj: value})
		j.setOOMScoreAdj()
		w.wants(want...)
	}
}

// The descriptor becomes readable when one of the files is written.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	put(t, first, "", 0o644)
	put(t, second, "", 0o644)
	j, _ := newJob(t, Config{})
	fd, err := j.watch([]string{first, second})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(int(fd))
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(ready, 0); n != 0 || err != nil {
		t.Errorf("before the write: %d, %v", n, err)
	}
	put(t, second, "text", 0o644)
	if n, err := unix.Poll(ready, 10_000); n != 1 || err != nil {
		t.Errorf("after the write: %d, %v", n, err)
	}
	missing := filepath.Join(dir, "missing")
	if _, err := j.watch([]string{first, missing}); err == nil || err.Error() != "inotify_add_watch "+missing+": no such file or directory" {
		t.Errorf("%v", err)
	}
}

// Limits that cannot be read from the orders are not copied again and again.
func TestResizeOfNothing(t *testing.T) {
	j, _ := newJob(t, Config{})
	j.orders.Again = true
	j.orders.Mirrored.Set("no state")
	if j.help(pid1.Resize); j.orders.Again {
		t.Error("it is tried again")
	}
}
