package init

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// inits are the two ways in which cgshim starts its program.
func inits(t *testing.T) [][]string {
	t.Helper()
	lab.Root(t)
	cgshim := lab.Cgshim(t)
	return [][]string{{cgshim, "--cgroup=off", "--"}, {cgshim, "-x", "--"}}
}

// state returns the state that the probe observes. args is a launcher, then an init or
// nothing, and the probe is executed at their end.
func state(t *testing.T, args ...string) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	other, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Seek(7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	r := lab.Run{Path: args[0], Args: append(args[1:len(args):len(args)], lab.Probe(t), "state", "", "a b"), Dir: "/usr"}
	r.Env = []string{"A=1", "PATH=/bin", "EMPTY="}
	r.Extra = []*os.File{write, other, other}
	r.Start(t)
	write.Close()
	out, err := io.ReadAll(read)
	if status := r.Wait(t); status != 0 || err != nil || len(out) == 0 {
		t.Fatalf("%q: %d, %v, %q", args, status, err, r.Stderr.String())
	}
	return string(out)
}

// same compares the state under each init with the state without an init.
func same(t *testing.T, launch ...string) {
	t.Helper()
	want := state(t, launch...)
	for _, init := range inits(t) {
		got := state(t, append(launch[:len(launch):len(launch)], init...)...)
		if got != want {
			t.Errorf("%q after %q: (-want +got)\n%s", init[1:], launch[1:], cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
		}
	}
}

// Both the child and the program that -x becomes inherit exactly the state that they
// would have without cgshim. This covers the signal mask and the dispositions in all
// combinations of these sets.
func TestSignalStateIsInherited(t *testing.T) {
	lab.Root(t)
	sets := []uint64{
		0, 1 << 14, 1 << 22, 0x5a5a5a5a5a5a5a5a, 0xa5a5a5a5a5a5a5a5, ^uint64(0),
		1<<0 | 1<<1 | 1<<12 | 1<<16, 1<<26 | 1<<31 | 1<<32 | 1<<33, 1<<3 | 1<<10 | 1<<20 | 1<<21,
	}
	for _, blocked := range sets {
		for _, ignored := range sets {
			same(t, lab.Probe(t), "with", fmt.Sprintf("%x", blocked), fmt.Sprintf("%x", ignored), "777")
		}
	}
}

// execve(2) accepts any strings as an environment, also two variables of the same name.
func TestEnvironmentIsInherited(t *testing.T) {
	lab.Root(t)
	same(t, lab.Probe(t), "env")
}

// Limits, umask, scheduling, OOM score, descriptors and the rest have unusual values,
// with each combination of closed standard descriptors.
func TestEverythingElseIsInherited(t *testing.T) {
	lab.Root(t)
	for closed := range 8 {
		t.Run(fmt.Sprintf("closed %03b", closed), func(t *testing.T) {
			same(t, lab.Probe(t), "odd", strconv.Itoa(closed))
		})
	}
}

// dockerd is a Go program and may get variables of Go's runtime. They do not affect the
// init, whether their values are valid or not.
func TestVariablesOfTheGoRuntime(t *testing.T) {
	for _, variable := range []string{"GOMEMLIMIT=100MiB", "GOMEMLIMIT=1G", "GODEBUG=inittrace=1,gctrace=1", "GOGC=off", "GOMAXPROCS=999", "GOTRACEBACK=crash", "GO=GO"} {
		t.Run(variable, func(t *testing.T) {
			r := pid1(t, "--", "sh", "-c", "sleep 0.05; env; exit 3")
			r.Env = []string{"PATH=/usr/bin:/bin", variable}
			if status := r.Do(t); status != 3 || r.Stderr.String() != "" || !strings.Contains(r.Stdout.String(), variable+"\n") {
				t.Errorf("%d, stdout %q, stderr %.300q", status, r.Stdout.String(), r.Stderr.String())
			}
		})
	}
}

// The child leads a process group of its own in the session of the init. The death of
// the init's parent does not affect it.
func TestGroupAndSession(t *testing.T) {
	r := pid1(t, "-p", "TERM", "--", "sleep", "1000")
	r.Start(t)
	child := r.Child(t)
	lab.Until(t, "the program", func() bool { return lab.Status(child, "Name") == "sleep" })
	group, err1 := unix.Getpgid(child)
	session, err2 := unix.Getsid(child)
	own, err3 := unix.Getsid(r.PID())
	if err1 != nil || err2 != nil || err3 != nil || group != child || session != own {
		t.Errorf("group %d of %d, session %d, the init's %d: %v %v %v", group, child, session, own, err1, err2, err3)
	}
}

// sd_listen_fds(3) requires that LISTEN_PID is the PID of its caller.
func TestListenPID(t *testing.T) {
	r := pid1(t, "--", "sh", "-c", "echo $LISTEN_PID $$ $LISTEN_FDS")
	r.Env = []string{"PATH=/bin", "LISTEN_PID=1", "LISTEN_FDS=2"}
	status := r.Do(t)
	var listen, own, fds string
	if _, err := fmt.Sscan(r.Stdout.String(), &listen, &own, &fds); err != nil || status != 0 || listen != own || fds != "2" {
		t.Errorf("%d, %q, %v", status, r.Stdout.String(), err)
	}
	other := pid1(t, "--", "sh", "-c", "echo $LISTEN_PID")
	other.Env = []string{"PATH=/bin", "LISTEN_PID=77"}
	if other.Do(t); other.Stdout.String() != "77\n" {
		t.Errorf("somebody else's LISTEN_PID became %q", other.Stdout.String())
	}
}

// After the child has started, the init pins no directory and no descriptor.
func TestInitLetsGo(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	r := pid1(t, "--", "sleep", "1000")
	r.Dir, r.Extra = t.TempDir(), []*os.File{write}
	r.Start(t)
	write.Close()
	child := r.Child(t)
	proc := func(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
	lab.Until(t, "the init to change its directory", func() bool {
		dir, _ := os.Readlink(proc(r.PID(), "cwd"))
		return dir == "/"
	})
	lab.Until(t, "the init to close its descriptors", func() bool {
		entries, err := os.ReadDir(proc(r.PID(), "fd"))
		return err == nil && len(entries) == 3
	})
	// Until its exec the child is in the init's directory.
	lab.Until(t, "the program", func() bool { return lab.Status(child, "Name") == "sleep" })
	if dir, _ := os.Readlink(proc(child, "cwd")); dir != r.Dir {
		t.Errorf("the child is in %s", dir)
	}
	if _, err := os.Stat(proc(child, "fd/3")); err != nil {
		t.Errorf("the child has lost its descriptor: %v", err)
	}
}

// Any of the three standard descriptors may be closed.
func TestClosedStdio(t *testing.T) {
	lab.Root(t)
	for set := range 8 {
		redirect := ""
		for fd, op := range []string{"<&-", ">&-", ">&-"} {
			if set>>fd&1 == 1 {
				redirect += fmt.Sprintf(" %d%s", fd, op)
			}
		}
		script := "exec " + lab.Cgshim(t) + " --cgroup=off -- sh -c 'exit 7'" + redirect
		r := lab.Run{Path: "/bin/sh", Args: []string{"-c", script}, PID1: true}
		if status := r.Do(t); status != 7 {
			t.Errorf("with%s: %d, %q", redirect, status, r.Stderr.String())
		}
	}
}
