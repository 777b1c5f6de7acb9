package starved

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// A form is a way to call an init.
type form struct {
	what    string
	name    string
	options []string
	version bool // it prints its version
}

var forms = []form{
	{"under its own name", "cgshim", nil, false},
	{"--cgroup=off", "cgshim", []string{"--cgroup=off"}, false},
	{"as docker-init", "docker-init", nil, false},
	{"-x", "cgshim", []string{"--cgroup=off", "-x"}, false},
	{"--version", "cgshim", []string{"--version"}, true},
}

// tinis returns what tini-static does in place of the form.
func (f form) tinis() form {
	if f.version {
		return form{f.what, "tini-static", []string{"--version"}, true}
	}
	return form{f.what, "tini-static", nil, false}
}

// run returns the init, whose program ends with 7.
func (f form) run(dir, program string) *lab.Run {
	r := &lab.Run{Path: dir + "/" + f.name, Args: slices.Clone(f.options), PID1: true}
	if !f.version {
		r.Args = append(r.Args, "--", program, "exit", "7")
	}
	return r
}

// A condition is an unusual state in which an init starts.
type condition struct {
	what    string
	make    func(t *testing.T, r *lab.Run)
	version int // status of --version
}

// launched makes the condition by an argument list of starved, in which "self" is its path.
func launched(launcher ...string) func(*testing.T, *lab.Run) {
	return func(_ *testing.T, r *lab.Run) {
		for i, arg := range launcher {
			if arg == "self" {
				launcher[i] = helper
			}
		}
		by(r, launcher...)
	}
}

var conditions = []condition{
	{"the children are in a new PID namespace", launched("apart", strconv.FormatInt(unix.CLONE_NEWPID, 16)), 0},
	{"the children are in another PID namespace", inAnotherPIDNamespace, 0},
	{"the children are in a new time namespace", launched("apart", strconv.FormatInt(unix.CLONE_NEWTIME, 16)), 0},
	{"no memory becomes executable (PR_SET_MDWE)", launched("mdwe"), 0},
	{"RLIMIT_SIGPENDING is 0", launched("limit", "sigpending", "0"), 0},
	{"RLIMIT_NOFILE is 3", launched("limit", "nofile", "3"), 0},
	{"stderr is a pipe that is full", fullPipe, 0},
	{"the standard descriptors are closed", launched("closed"), 1}, // the text cannot be written
	{"it has 100,000 arguments", launched("many", "100000"), 0},
	{"the environment is empty", launched("bare"), 0},
	{"the binary is deleted", fromADeletedFile, 0},
	{"there is no /proc", launched("apart", strconv.FormatInt(unix.CLONE_NEWNS, 16), "self", "hide", "/proc"), 0},
	{"the image has nothing but the init and the program", onlyTheProgram, 0},
}

func fromADeletedFile(t *testing.T, r *lab.Run) {
	r.Path = copyOf(t, t.TempDir(), r.Path)
	by(r, "deleted")
}

// copyOf copies a file into a directory.
func copyOf(t *testing.T, dir, file string) string {
	t.Helper()
	if err := install(dir, file); err != nil {
		t.Fatal(err)
	}
	return dir + file[strings.LastIndex(file, "/"):]
}

// nsenter --no-fork has the same effect.
func inAnotherPIDNamespace(t *testing.T, r *lab.Run) {
	other := &lab.Run{Path: helper, Args: []string{"deaf"}, PID1: true}
	other.Start(t)
	lab.Until(t, "the namespace", func() bool { return other.Stdout.String() != "" })
	r.PID1 = false // whose /proc does not show the namespace
	by(r, "join", fmt.Sprintf("/proc/%d/ns/pid", other.PID()))
}

func fullPipe(t *testing.T, r *lab.Run) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		read.Close()
		write.Close()
	})
	fd := int(write.Fd())
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		for err == nil {
			_, err = syscall.Write(fd, make([]byte, size))
		}
		err = nil
	}
	if err := syscall.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	r.ErrorTo = write
}

func onlyTheProgram(t *testing.T, r *lab.Run) {
	root := t.TempDir()
	r.Path = copyOf(t, root, r.Path)[len(root):]
	copyOf(t, root, helper)
	for i, arg := range r.Args {
		if arg == helper {
			r.Args[i] = "/starved"
		}
	}
	r.Attr.Chroot = root
}

// In each condition cgshim must start its program and end with the program's status. The log of
// the test says where tini-static does not.
func TestStartConditions(t *testing.T) {
	lab.Root(t)
	for _, c := range conditions {
		t.Run(c.what, func(t *testing.T) {
			for _, f := range forms {
				want := 7
				if f.version {
					want = c.version
				}
				if status, end := look(t, c, f); status != want {
					t.Errorf("%s: %s, not with %d", f.what, end, want)
				}
				if status, end := look(t, c, f.tinis()); status != want {
					t.Logf("%s: tini-static %.200s", f.what, end)
				}
			}
		})
	}
}

// look returns how an init ends in a condition.
func look(t *testing.T, c condition, f form) (status int, end string) {
	t.Helper()
	r := f.run(bin, helper)
	c.make(t, r)
	r.Start(t)
	if !within(20*time.Second, func() bool { return dead(r) }) {
		return -1, "hangs"
	}
	status = r.Wait(t)
	said := strings.TrimSpace(r.Stderr.String())
	if f.name == "cgshim" && strings.Contains(said, "\n") {
		t.Errorf("%s: %q is more than one line", f.what, said)
	}
	if f.name != "tini-static" && f.version && status == 0 && !strings.Contains(r.Stdout.String(), "version") {
		t.Errorf("%s prints %q", f.what, r.Stdout.String())
	}
	return status, fmt.Sprintf("exits with %d: %s", status, said)
}
