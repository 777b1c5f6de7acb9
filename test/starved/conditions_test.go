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
	what string
	make func(t *testing.T, r *lab.Run)
}

func launched(launcher ...string) func(*testing.T, *lab.Run) {
	return func(_ *testing.T, r *lab.Run) { by(r, launcher...) }
}

var conditions = []condition{
	{"the children are in a new PID namespace", launched("apart", strconv.FormatInt(unix.CLONE_NEWPID, 16))},
	{"the children are in another PID namespace", inAnotherPIDNamespace},
	{"the children are in a new time namespace", launched("apart", strconv.FormatInt(unix.CLONE_NEWTIME, 16))},
	{"no memory becomes executable (PR_SET_MDWE)", launched("mdwe")},
	{"RLIMIT_SIGPENDING is 0", launched("limit", "sigpending", "0")},
	{"RLIMIT_NOFILE is 3", launched("limit", "nofile", "3")},
	{"stderr is a pipe that is full", fullPipe},
	{"the standard descriptors are closed", launched("closed")},
	{"it has 100,000 arguments", launched("many", "100000")},
	{"the environment is empty", launched("bare")},
	{"the binary is deleted", func(t *testing.T, r *lab.Run) { r.Path = copied1(t, t.TempDir(), r.Path); by(r, "deleted") }},
	{"there is no /proc", func(t *testing.T, r *lab.Run) {
		by(r, "apart", strconv.FormatInt(unix.CLONE_NEWNS, 16), helper, "hide", "/proc")
	}},
	{"the image has nothing but the init and the program", onlyTheProgram},
}

// copied1 copies a file into a directory.
func copied1(t *testing.T, dir, file string) string {
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
	r.Path = copied1(t, root, r.Path)[len(root):]
	copied1(t, root, helper)
	for i, arg := range r.Args {
		if arg == helper {
			r.Args[i] = "/starved"
		}
	}
	r.Attr.Chroot = root
}

// In each condition an init must start its program and end with the program's status, if
// tini-static does.
func TestStartConditions(t *testing.T) {
	lab.Root(t)
	for _, c := range conditions {
		t.Run(c.what, func(t *testing.T) {
			for _, f := range forms {
				want, out := look(t, c, f.tinis())
				got, ours := look(t, c, f)
				if want != got {
					t.Errorf("%s: %s, tini-static %s", f.what, got, want)
				}
				if f.version && strings.Contains(out, "version") != strings.Contains(ours, "version") {
					t.Errorf("%s prints %q, tini-static %q", f.what, ours, out)
				}
			}
		})
	}
}

// look returns the end of an init in a condition, and its standard output.
func look(t *testing.T, c condition, f form) (end, out string) {
	t.Helper()
	r := f.run(bin, helper)
	c.make(t, r)
	r.Start(t)
	if !within(20*time.Second, func() bool { return dead(r) }) {
		return "hangs", ""
	}
	status := r.Wait(t)
	if said := r.Stderr.String(); said != "" && f.name != "tini-static" {
		t.Logf("%s: %s", f.what, strings.TrimSpace(said))
		if strings.Count(said, "\n") > 1 {
			t.Errorf("%s says more than one line", f.what)
		}
	}
	return fmt.Sprintf("exits with %d", status), r.Stdout.String()
}
