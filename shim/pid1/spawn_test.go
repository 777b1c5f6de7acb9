package pid1

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestJoin(t *testing.T) {
	long := func(n int) string { return strings.Repeat("d", n) }
	for _, c := range []struct {
		name, element, program, want string
		fits                         bool
	}{
		{"an element and a name", "/bin", "sh", "/bin/sh", true},
		{"an empty element is the working directory", "", "sh", "sh", true},
		{"an element that ends with a slash", "/bin/", "sh", "/bin//sh", true},
		{"the longest path", long(4096 - 4), "sh", long(4096-4) + "/sh", true},
		{"one byte more", long(4096 - 3), "sh", "", false},
		{"an element of 4,096 bytes", long(4096), "", "", false},
		{"a longer one", long(5000), "sh", "", false},
		{"a name of 4,096 bytes", "", long(4096), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStack([]string{c.element, c.program}, nil)
			from, name := argument(s.vector(), 0), argument(s.vector(), 1)
			to := new([4096]byte)
			fits := join(to, from, from+uintptr(len(c.element)), name, uintptr(len(c.program)))
			if fits != c.fits || fits && goString(address(to)) != c.want {
				t.Errorf("fits: %v, %.40q", fits, goString(address(to)))
			}
		})
	}
}

type execution struct {
	Args []string
	Path *string
}

func init() {
	helpers["execute"] = func(text string) {
		in := input[execution](text)
		l := newLife()
		l.orders.inherited = swapMask(0)
		l.orders.SetProgram(&Program{Args: in.Args, Env: []string{helperEnv + "=show", "NAME=value"}, Path: in.Path, ListenPID: -1, ListenID: -1})
		errno := l.execute()
		fmt.Printf("%s shell %d", unix.ErrnoName(errno), l.orders.Outcome.ViaShell)
	}
	helpers["show"] = func(string) { fmt.Printf("%q %s", os.Args, os.Getenv("NAME")) }
}

// execute takes the files that execvp(3) takes.
func TestExecute(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"found", "denied", "empty", "script"} {
		if err := os.Mkdir(at(d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"found/program", "here"} {
		if err := os.Symlink(binary, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]os.FileMode{"denied/program": 0o644, "denied/other": 0o644, "script/program": 0o755, "script/-x": 0o755, "file": 0o644} {
		if err := os.WriteFile(at(name), []byte("echo \"$0 $@ $NAME\"\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	const noShell = " shell 0"
	long := strings.Repeat("d", 4096)
	path := func(elements ...string) *string { p := strings.Join(elements, ":"); return &p }
	for _, c := range []struct {
		name string
		args []string
		path *string
		want string
	}{
		{"the first element that has the file", []string{"program", "a b", ""}, path(at("empty"), at("found"), at("script")), `["program" "a b" ""] value`},
		{"a path with a slash is not looked for", []string{at("found/program")}, path(at("script")), fmt.Sprintf("[%q] value", at("found/program"))},
		{"a relative path", []string{"./here"}, path(), `["./here"] value`},
		{"an empty element is the working directory", []string{"here"}, path(at("empty"), "", at("found")), `["here"] value`},
		{"so is one at the end", []string{"here"}, path(at("empty"), ""), `["here"] value`},
		{"and an empty PATH", []string{"here"}, path(), `["here"] value`},
		{"an element of 4,096 bytes is left out", []string{"program"}, path(long, at("found")), `["program"] value`},
		{"an element that is too long with the name is left out", []string{"program"}, path(long[:4090], at("found")), `["program"] value`},
		{"after nothing but long elements there is no such file", []string{"program"}, path(long, long), "ENOENT" + noShell},
		{"a file is no directory", []string{"program"}, path(at("file"), at("found")), `["program"] value`},
		{"what may not be executed is not the last word", []string{"program"}, path(at("denied"), at("found")), `["program"] value`},
		{"unless nothing else is found", []string{"other"}, path(at("denied"), at("empty")), "EACCES" + noShell},
		{"no such file", []string{"nosuch"}, path(at("empty"), at("found")), "ENOENT" + noShell},
		{"no such path", []string{at("nosuch")}, path(at("found")), "ENOENT" + noShell},
		{"a directory", []string{at("found")}, path(at("found")), "EACCES" + noShell},
		{"an empty name", []string{""}, path(at("found")), "ENOENT" + noShell},
		{"without PATH there are /bin and /usr/bin", []string{"echo", "said"}, nil, "said\n"},
		{"and no other", []string{"here"}, nil, "ENOENT" + noShell},
		{"a file in no format is a script", []string{"program", "a", "b"}, path(at("script")), at("script/program") + " a b value\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, status := helped(t, dir, "execute", execution{c.args, c.path})
			if got != c.want || status != 0 {
				t.Errorf("status %d\ngot  %q\nwant %q", status, got, c.want)
			}
		})
	}
}

// After a failure the arguments are as before.
func TestExecveLeavesTheArguments(t *testing.T) {
	l := newLife()
	l.orders.SetProgram(&Program{Args: []string{"/no/such", "a"}, ListenPID: -1, ListenID: -1})
	if errno := l.search(*at[uintptr](l.orders.argv)); errno != unix.ENOENT {
		t.Error(errno)
	}
	if got := cstrings(l.orders.argv, 2); got[0] != "/no/such" || got[1] != "a" || l.orders.Outcome.ViaShell != 0 {
		t.Errorf("%q", got)
	}
}

func init() {
	helpers["flush"] = func(text string) {
		in := input[[]string](text)
		growStack()
		swapMask(^Set(0))
		l := newLife()
		l.host = noSource{}
		for _, line := range in {
			l.page.word(line)
			l.flush()
		}
		if l.page.n != 0 || l.writer != 0 {
			l.page.word("something is left")
			l.flush()
		}
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 3, 0, 0)
	}
}

// The child that writes is reaped, and the next line has a child of its own.
func TestFlush(t *testing.T) {
	lines := []string{"first\n", strings.Repeat("x", 4000) + "\n", "last\n"}
	got, status := helped(t, "", "flush", lines)
	for try := 0; try < 10 && got != strings.Join(lines, ""); try++ { // on a busy machine a line may be given up
		got, status = helped(t, "", "flush", lines)
	}
	if got != strings.Join(lines, "") || status != 3 {
		t.Errorf("status %d: %q", status, got)
	}
}
