// Package tini runs one table of cases against Debian's tini and against cgshim. cgshim
// runs under tini's name and under its own, as PID 1 and not. `go test ./tini -update`
// writes docs/tini-compat.md from the table.
package tini

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/cgshim/cgshim/internal/golden"
	"github.com/cgshim/cgshim/test/internal/lab"
)

func TestMain(m *testing.M) {
	flag.Parse()
	status := m.Run()
	lab.Cleanup()
	os.Exit(status)
}

// A row is a command line and its result.
type row struct {
	section, name string
	args, env     []string
	status        int    // tini's exit status
	stdout        string // text that stdout has to contain
	stderr        string // text that the stderr of cgshim has to contain
	own           int    // cgshim's exit status, if it differs
	differs       string // the reason for the difference
	nameOnly      bool   // run cgshim only under its own name
	notPID1       bool   // do not run it as PID 1
	silent        bool   // nothing on stderr
	setup         func(t *testing.T, dir string)
}

const none = -1 // own: the same as tini's

// Under tini's names, too, cgshim takes what tini refuses. A command line that tini takes
// means the same.
const (
	ownOption = "tini refuses it; it is an option of cgshim, which it takes before the program under every name"
	ownValue  = "tini refuses it; -e takes lists and ranges, and -p any name and number of a signal, under every name"
)

func file(name, content string, mode os.FileMode) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func both(setups ...func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		for _, setup := range setups {
			setup(t, dir)
		}
	}
}

func sh(script string) []string { return []string{"--", "sh", "-c", script} }

// ELF headers of 64 bytes (elf(5)). The first is a big-endian one for s390x. The second
// is for amd64 and has a program header that names a loader.
var (
	foreignELF = elf("\x02\x02\x01", "\x00\x02\x00\x16\x00\x00\x00\x01") + strings.Repeat("\x00", 40)
	orphanELF  = elf("\x02\x01\x01", "\x02\x00\x3e\x00\x01\x00\x00\x00") +
		word(0x400000) + word(64) + word(0) + "\x00\x00\x00\x00\x40\x00\x38\x00\x01\x00\x40\x00\x00\x00\x00\x00" +
		"\x03\x00\x00\x00\x04\x00\x00\x00" + word(120) + word(0) + word(0) + word(11) + word(11) + word(1) + "/no/loader\x00"
)

func elf(ident, kind string) string {
	return "\x7fELF" + ident + strings.Repeat("\x00", 16-4-len(ident)) + kind
}

func word(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// foreignStatus is the status of dash for a file that it cannot read as a script.
const foreignStatus = 127

func rows() []row {
	rows := []row{
		{section: "Exit status", name: "a child that ends by TERM", args: sh("kill -TERM $$"), status: 143},
		{name: "by KILL", args: sh("kill -KILL $$"), status: 137},
		{name: "by SEGV", args: sh("kill -SEGV $$"), status: 139},
		{name: "by a real-time signal", args: sh("kill -64 $$"), status: 192},
		{name: "a status that -e names", args: append([]string{"-e", "143"}, sh("exit 143")...), status: 0},
		{name: "a signal that -e names", args: append([]string{"-e", "143"}, sh("kill -TERM $$")...), status: 0},
		{name: "-e twice", args: append([]string{"-e", "1", "-e", "7"}, sh("exit 7")...), status: 0},
		{name: "another than -e names", args: append([]string{"-e", "143"}, sh("exit 7")...), status: 7},
		{name: "-e with a missing program", args: []string{"-e", "127", "--", "no-such-program"}, status: 0},
		{name: "-e with a list and a range", args: append([]string{"-e", "1,100-110"}, sh("exit 105")...), status: 1, own: 0, differs: ownValue},

		{section: "Starting the program", name: "not found", args: []string{"--", "no-such-program"}, status: 127, stderr: "no-such-program"},
		{name: "no such file", args: []string{"--", "/no/such/file"}, status: 127, stderr: "no such file"},
		{name: "an empty name", args: []string{"--", ""}, status: 127, stderr: "empty"},
		{name: "a program called --", args: []string{"--", "--", "true"}, status: 127},
		{name: "a directory", args: []string{"--", "/etc"}, status: 126, stderr: "is a directory"},
		{name: "a file that is not executable", args: []string{"--", "./plain"}, status: 126, stderr: "not executable", setup: file("plain", "x", 0o644)},
		{name: "a script whose interpreter is missing", args: []string{"--", "./script"}, status: 127, stderr: "interpreter /no/interpreter", setup: file("script", "#!/no/interpreter\n", 0o755)},
		{name: "a script with a carriage return", args: []string{"--", "./script"}, status: 127, stderr: `/bin/sh\\r`, setup: file("script", "#!/bin/sh\r\n", 0o755)},
		{name: "a script without an interpreter is the shell's", args: []string{"--", "./script", "a"}, status: 9, stdout: "./script a", setup: file("script", "echo $0 $1; exit 9\n", 0o755)},
		{name: "an empty file is the shell's too", args: []string{"--", "./empty"}, status: 0, setup: file("empty", "", 0o755)},
		{name: "a file in place of a directory", args: []string{"--", "./plain/x"}, status: 1, setup: file("plain", "x", 0o755)},
		{name: "a name that is too long", args: []string{"--", strings.Repeat("x", 300)}, status: 1},
		{name: "a loop of links", args: []string{"--", "./loop"}, status: 1, setup: func(t *testing.T, dir string) {
			if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "a binary for another machine is the shell's, as any format that is unknown", args: []string{"--", "./elf"}, status: foreignStatus, stderr: "built for s390x", setup: file("elf", foreignELF, 0o755)},
		{name: "a binary whose loader is missing", args: []string{"--", "./elf"}, status: 127, stderr: "interpreter /no/loader", setup: file("elf", orphanELF, 0o755)},
		{name: "a file that is open for writing", args: []string{"--", "./busy"}, status: 1, stderr: "open for writing", setup: func(t *testing.T, dir string) {
			file("busy", "#!/bin/sh\n", 0o755)(t, dir)
			f, err := os.OpenFile(filepath.Join(dir, "busy"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
		}},
		{name: "a file system mounted noexec", args: []string{"--", "./mnt/x"}, status: 126, stderr: "noexec", setup: func(t *testing.T, dir string) {
			mnt := filepath.Join(dir, "mnt")
			if err := os.Mkdir(mnt, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("tmpfs", mnt, "tmpfs", syscall.MS_NOEXEC, ""); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(mnt, syscall.MNT_DETACH) })
			file("mnt/x", "#!/bin/sh\n", 0o755)(t, dir)
		}},
		{name: "argv[0] is what was typed", args: sh("echo $0"), status: 0, stdout: "sh"},
		{
			name: "PATH: the first that can be executed", args: []string{"--", "pp"}, env: []string{"PATH=d1:d2"}, status: 22,
			setup: both(file("d1/pp", "#!/bin/sh\nexit 11", 0o644), file("d2/pp", "#!/bin/sh\nexit 22", 0o755)),
		},
		{name: "PATH: found, but nowhere executable", args: []string{"--", "pp"}, env: []string{"PATH=/nowhere:d1:/none"}, status: 126, setup: file("d1/pp", "x", 0o644)},
		{name: "PATH: an empty element is the working directory", args: []string{"--", "pp"}, env: []string{"PATH=/nowhere:"}, status: 33, setup: file("pp", "#!/bin/sh\nexit 33", 0o755)},
		{name: "PATH: empty", args: []string{"--", "pp"}, env: []string{"PATH="}, status: 33, setup: file("pp", "#!/bin/sh\nexit 33", 0o755)},
		{name: "PATH: unset", args: sh("exit 3"), env: []string{"NOTHING=1"}, status: 3},
		{
			name: "PATH: a file in place of a directory", args: []string{"--", "pp"}, env: []string{"PATH=plain:d2"}, status: 22,
			setup: both(file("plain", "x", 0o755), file("d2/pp", "#!/bin/sh\nexit 22", 0o755)),
		},

		{name: "what -v says of a missing program", args: []string{"-v", "--", "no-such-program"}, status: 127, stderr: "no-such-program"},
		{name: "what -vv says of a missing program", args: []string{"-vv", "--", "no-such-program"}, status: 127, stderr: "no-such-program"},
		{name: "what -vvv says of a missing program", args: []string{"-vvv", "--", "no-such-program"}, status: 127, stderr: "no-such-program"},
		{name: "what -vvv says of a directory", args: []string{"-vvv", "--", "/etc"}, status: 126, stderr: "is a directory"},
		{name: "what -v says of -e with a missing program", args: []string{"-v", "-e", "127", "--", "no-such-program"}, status: 0, stderr: "no-such-program"},
		{name: "what -vvv says of a binary for another machine", args: []string{"-vvv", "--", "./elf"}, status: foreignStatus, stderr: "built for s390x", setup: file("elf", foreignELF, 0o755)},

		{section: "Command line", name: "no program", args: nil, status: 1, stderr: "no program"},
		{name: "nothing after --", args: []string{"--"}, status: 1, stderr: "Usage:"},
		{name: "options and no program", args: []string{"-v"}, status: 1, stderr: "Usage:"},
		{name: "an unknown option", args: []string{"-z", "--", "true"}, status: 1, stderr: "-z"},
		{name: "a missing value", args: []string{"-p"}, status: 1, stderr: "-p"},
		{name: "grouped options", args: append([]string{"-vvsg"}, sh("exit 4")...), status: 4},
		{name: "attached values", args: append([]string{"-pSIGTERM", "-e4"}, sh("exit 4")...), status: 0},
		{name: "only the first -- is ours", args: []string{"--", "echo", "--", "b"}, status: 0, stdout: "-- b"},
		{name: "no -- at all", args: []string{"echo", "x"}, status: 0, stdout: "x"},
		{name: "-h", args: []string{"-h"}, status: 0, stdout: "Usage"},
		{name: "-l", args: []string{"-l"}, status: 0, stdout: "Permission is hereby granted"},
		{name: "--version", args: []string{"--version"}, status: 0, stdout: "version "},
		{name: "options end at the program", args: []string{"sh", "-c", "exit 7"}, status: 1, own: 7, nameOnly: true, differs: "options stop at the first non-option; glibc's getopt takes them from anywhere"},
		{name: "tini's odd form", args: []string{"-g", "sh", "--", "-c", "exit 7"}, status: 7, own: 2, nameOnly: true, differs: "the -- behind the program is the program's"},
		{name: "options behind the program", args: []string{"ls", "-l", "/nonexistent"}, status: 0, own: 2, nameOnly: true, differs: "they are the program's"},
		{name: "POSIXLY_CORRECT", args: []string{"sh", "-c", "exit 7"}, env: []string{"PATH=/bin", "POSIXLY_CORRECT=1"}, status: 7},
		{name: "a later --", args: []string{"echo", "a", "--", "b"}, status: 0, own: 0, nameOnly: true, differs: "it is the program's"},
		{name: "what -v says", args: append([]string{"-v"}, sh("exit 4")...), status: 4},
		{name: "what -vv says", args: append([]string{"-vv"}, sh("exit 4")...), status: 4},
		{name: "what -vv says of a signal", args: append([]string{"-vv"}, sh("kill -TERM $$")...), status: 143},
		{name: "what -v says of -e", args: append([]string{"-v", "-e", "4"}, sh("exit 4")...), status: 0},
		{name: "what -vvv says", args: append([]string{"-vvv"}, sh("exit 4")...), status: 4},
		{name: "what -vvvv says", args: append([]string{"-vvvv"}, sh("exit 4")...), status: 4},
		{name: "what -vvv says of a signal", args: append([]string{"-vvv"}, sh("kill -TERM $$")...), status: 143},
		{name: "what -vvv says of a signal for the program", args: append([]string{"-vvv"}, sh("trap 'sleep 0.3; exit 5' USR1; kill -USR1 1; sleep 0.2; exit 6")...), status: 5},
		{name: "what -vvv -w says of an orphan", args: append([]string{"-vvv", "-w"}, sh("(sleep 0.01 &) ; sleep 0.3")...), status: 0},
		{name: "what -vvv says where others are left", args: append([]string{"-vvv"}, sh("(sleep 60 &) ; exit 3")...), status: 3},
		{name: "what -vvv -s says", args: append([]string{"-vvv", "-s"}, sh("exit 4")...), status: 4},
		{name: "--help", args: []string{"--help"}, status: 1, own: 0, differs: ownOption},
		{name: "a long option", args: append([]string{"--stop-timeout=1s"}, sh("exit 4")...), status: 1, own: 4, differs: ownOption},
		{name: "-x", args: append([]string{"-x"}, sh("exit 4")...), status: 1, own: 4, differs: ownOption},
		{name: "-r", args: append([]string{"-r", "TERM:INT"}, sh("exit 4")...), status: 1, own: 4, differs: ownOption},
		{name: "a long option that is unknown", args: []string{"--foo", "true"}, status: 1, stderr: "--foo"},
		{name: "the beginning of a long option", args: []string{"--v"}, status: 1, stderr: "--v"},
		{name: "--version and more", args: []string{"--version", "foo"}, status: 1, own: 0, nameOnly: true, stdout: "version ", differs: "tini knows --version only as the only argument"},
		{name: "more and --version", args: []string{"-v", "--version"}, status: 1, own: 0, nameOnly: true, stdout: "version ", differs: "tini knows --version only as the only argument"},
		{name: "-h and --version", args: []string{"-h", "--version"}, status: 0, stdout: "Usage"},
		{name: "-h before a mistake", args: []string{"-h", "-z"}, status: 0, stdout: "Usage"},
		{name: "-h behind a mistake", args: []string{"-z", "-h"}, status: 1, stderr: "-z"},
		{name: "-l and -h", args: []string{"-l", "-h"}, status: 0, stdout: "Permission is hereby granted"},
		{name: "a mistake in a group", args: []string{"-vz", "true"}, status: 1, stderr: "-z"},
		{name: "a long option behind the program", args: []string{"echo", "--json"}, status: 1, own: 0, nameOnly: true, stdout: "--json", differs: "it is the program's"},
		{name: "--version behind the program", args: []string{"echo", "--version"}, status: 1, own: 0, nameOnly: true, differs: "it is the program's"},
		{name: "an option of cgshim behind the program", args: []string{"echo", "-x"}, status: 1, own: 0, nameOnly: true, stdout: "-x", differs: "it is the program's"},
		{name: "a mistake behind the program", args: []string{"echo", "-e", "300"}, status: 1, own: 0, nameOnly: true, differs: "it is the program's"},
		{name: "- is no option", args: []string{"echo", "-", "x"}, status: 0, stdout: "- x"},
		{name: "- as the program", args: []string{"-"}, status: 127},
		{name: "-p with a name that is none", args: []string{"-p", "SIGFOO", "true"}, status: 1, stderr: "SIGFOO"},
		{name: "-p TERM", args: append([]string{"-p", "TERM"}, sh("exit 4")...), status: 1, own: 4, differs: ownValue},
		{name: "-e 256", args: []string{"-e", "256", "true"}, status: 1, stderr: "256"},
		{name: "-e -1", args: []string{"-e", "-1", "true"}, status: 1, stderr: "-1"},
		{name: "-e abc", args: []string{"-e", "abc", "true"}, status: 1, stderr: "abc"},
		{name: "-e 07", args: append([]string{"-e", "07"}, sh("exit 7")...), status: 0},
		{name: "-e with nothing", args: append([]string{"-e", ""}, sh("exit 0")...), status: 0},
		{name: "-e +7", args: append([]string{"-e", "+7"}, sh("exit 7")...), status: 0},

		{section: "Environment", name: "TINI_SUBREAPER, even empty", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_SUBREAPER="}, status: 6},
		{name: "TINI_KILL_PROCESS_GROUP", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_KILL_PROCESS_GROUP=1"}, status: 6},
		{name: "TINI_VERBOSITY=0 silences the warning", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=0"}, status: 6, notPID1: true, silent: true},
		{name: "TINI_VERBOSITY that is no number is 0", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=abc"}, status: 6, notPID1: true, silent: true},
		{name: "TINI_VERBOSITY and -vvv", args: append([]string{"-vvv"}, sh("exit 6")...), env: []string{"PATH=/bin", "TINI_VERBOSITY=2"}, status: 6},
		{name: "TINI_VERBOSITY with blanks before it", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=\t 3"}, status: 6},
		{name: "TINI_VERBOSITY with a sign", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=+2"}, status: 6},
		{name: "TINI_VERBOSITY with two signs is 0", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=++2"}, status: 6, notPID1: true, silent: true},
		{name: "TINI_VERBOSITY with text behind it", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=3x"}, status: 6},
		{name: "TINI_VERBOSITY below 0 is everything", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=-1"}, status: 6},
		{name: "TINI_VERBOSITY of 32 bits", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=4294967298"}, status: 6},
		{name: "TINI_VERBOSITY of more than 64 bits", args: sh("exit 6"), env: []string{"PATH=/bin", "TINI_VERBOSITY=99999999999999999999"}, status: 6},
		{name: "TINI_VERBOSITY=0 and a missing program", args: []string{"--", "no-such-program"}, env: []string{"PATH=/bin", "TINI_VERBOSITY=0"}, status: 127},
		{name: "variables reach the child", args: sh("echo $TINI_SUBREAPER$X"), env: []string{"PATH=/bin", "TINI_SUBREAPER=s", "X=y"}, status: 0, stdout: "sy"},

		{section: "Not PID 1", name: "the child's status", args: sh("exit 8"), status: 8, notPID1: true},
		{name: "-s", args: append([]string{"-s"}, sh("exit 8")...), status: 8, notPID1: true},
		{name: "what -vvv says there", args: append([]string{"-vvv"}, sh("exit 8")...), status: 8, notPID1: true},
		{name: "what -vvv -s says there", args: append([]string{"-vvv", "-s"}, sh("exit 8")...), status: 8, notPID1: true},
		{name: "a missing program", args: []string{"-v", "--", "no-such-program"}, status: 127, notPID1: true},
	}
	section := ""
	for i := range rows {
		r := &rows[i]
		if r.section == "" {
			r.section = section
		}
		section = r.section
		if r.differs == "" {
			r.own = none
		}
	}
	return rows
}

func TestAgainstTini(t *testing.T) {
	lab.Root(t)
	lab.Need(t, exists(lab.Tini), lab.Tini)
	cgshim := lab.Cgshim(t)
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			want := r.status
			status, self, stdout, stderr := run(t, r, lab.Tini, "tini")
			if status != want || r.silent && stderr != "" {
				t.Errorf("tini: %d, the table says %d; %q", status, want, stderr)
			}
			if r.differs == "" && !strings.Contains(stdout, r.stdout) {
				t.Errorf("tini: stdout %q", stdout)
			}
			tini := normal(stdout, stderr, self)
			for _, name := range []string{"tini", "cgshim"} {
				want := want
				if r.own != none && (name == "cgshim" || !r.nameOnly) {
					want = r.own
				}
				status, self, stdout, stderr := run(t, r, cgshim, name)
				if name == "tini" && (r.differs == "" || r.nameOnly) {
					if diff := gocmp.Diff(tini, normal(stdout, stderr, self), gocmp.AllowUnexported(output{})); status != want || diff != "" {
						t.Errorf("as tini: status %d, want %d (-tini +cgshim)\n%s", status, want, diff)
					}
					continue
				}
				if status != want || !strings.Contains(stdout, r.stdout) || !strings.Contains(stderr, r.stderr) || r.silent && stderr != "" {
					t.Errorf("as %s: status %d, want %d\nstdout %q, want %q\nstderr %q, want %q", name, status, want, stdout, r.stdout, stderr, r.stderr)
				}
			}
		})
	}
}

// output is the output of an init and its program. The log of an init is apart, because
// tini writes warnings and errors to stderr and the rest to stdout, and cgshim writes all
// of it to stderr.
type output struct {
	stdout, stderr []string
	warnings, rest []string // the log
	child          []string // the lines of the log that the init's child writes
}

var (
	logLine = regexp.MustCompile(`^\[([A-Z]+) *tini \((\d+)\)\] `)
	spawned = regexp.MustCompile(`Spawned child process '.*' with pid '(\d+)'`)
	numbers = regexp.MustCompile(`(tini \(|pid[:= ]+'?)(\d+)`)
)

// normal puts names in the place of PIDs and of the version of tini, and one word in the
// place of the usage and of the licence, which cgshim words its own way. self is the PID
// of the init.
func normal(stdout, stderr string, self int) (o output) {
	who := map[string]string{fmt.Sprint(self): "SELF"}
	if m := spawned.FindStringSubmatch(stdout + stderr); m != nil {
		who[m[1]] = "CHILD"
	}
	split := func(text string, rest *[]string) {
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "tini version ") {
				line = "tini version"
			}
			if strings.Contains(line, "(tini version ") {
				*rest = append(*rest, "usage")
				return
			}
			if strings.HasSuffix(line, "MIT License") || strings.HasSuffix(line, "MIT License (MIT)") {
				*rest = append(*rest, "licence")
				return
			}
			m := logLine.FindStringSubmatch(line)
			if m == nil {
				*rest = append(*rest, line)
				continue
			}
			if _, known := who[m[2]]; !known { // without -v nothing says who the child is
				who[m[2]] = "CHILD"
			}
			line = numbers.ReplaceAllStringFunc(line, func(found string) string {
				m := numbers.FindStringSubmatch(found)
				return m[1] + cmp.Or(who[m[2]], "ORPHAN")
			})
			switch {
			case who[m[2]] != "SELF":
				o.child = append(o.child, line)
			case m[1] == "FATAL" || m[1] == "WARN":
				o.warnings = append(o.warnings, line)
			default:
				o.rest = append(o.rest, line)
			}
		}
	}
	split(stdout, &o.stdout)
	split(stderr, &o.stderr)
	slices.Sort(o.child) // tini's child writes to two descriptors, too
	o.rest = withoutTicks(o.rest)
	return o
}

// withoutTicks removes what tini says each second. It looks for children then, although
// no signal has come.
func withoutTicks(log []string) (rest []string) {
	for i, line := range log {
		if i > 0 && strings.HasSuffix(line, "No child to reap") && (strings.Contains(log[i-1], "Spawned") || log[i-1] == line) {
			continue
		}
		rest = append(rest, line)
	}
	return rest
}

func run(t *testing.T, r row, path, name string) (status, self int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	if r.setup != nil {
		r.setup(t, dir)
	}
	c := lab.Run{Path: path, Name: name, Args: r.args, Env: r.env, Dir: dir, PID1: !r.notPID1}
	status = c.Do(t)
	if self = 1; r.notPID1 {
		self = c.PID()
	}
	return status, self, c.Stdout.String(), c.Stderr.String()
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Every exit code arrives, and -e can remap every one.
func TestAllExitCodes(t *testing.T) {
	lab.Root(t)
	cgshim := lab.Cgshim(t)
	for code := range 256 {
		script := sh(fmt.Sprintf("exit %d", code))
		for _, c := range []struct {
			args []string
			want int
		}{{script, code}, {append([]string{"-e", fmt.Sprint(code)}, script...), 0}} {
			r := lab.Run{Path: cgshim, Name: "tini", Args: c.args, PID1: true}
			if status := r.Do(t); status != c.want {
				t.Errorf("%q: %d, want %d", c.args, status, c.want)
			}
		}
	}
}

// Only under tini's names: the warning that users of tini look for.
func TestNotPID1Warning(t *testing.T) {
	lab.Root(t)
	cgshim := lab.Cgshim(t)
	tini := filepath.Join(t.TempDir(), "tini")
	if err := os.Symlink(cgshim, tini); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, name string
		args       []string
		warns      bool
		below      bool // as the child of a subreaper
	}{
		{lab.Tini, "", []string{"true"}, true, false},
		{lab.Tini, "", []string{"-s", "true"}, false, false},
		{lab.Tini, "", []string{"true"}, false, true},
		{cgshim, "tini", []string{"true"}, true, false},
		{cgshim, "tini-static", []string{"true"}, true, false},
		{cgshim, "/sbin/docker-init", []string{"--", "true"}, true, false},
		{cgshim, "/run/podman-init", []string{"--", "true"}, true, false},
		{cgshim, "tini", []string{"-s", "true"}, false, false},
		{tini, "", []string{"true"}, false, true},
		{cgshim, "cgshim", []string{"true"}, false, false},
	} {
		r := lab.Run{Path: c.path, Name: c.name, Args: c.args}
		if c.below {
			r = lab.Run{Path: lab.Probe(t), Args: append([]string{"subreaper", c.path}, c.args...)}
		}
		status := r.Do(t)
		if warned := strings.Contains(r.Stderr.String(), "zombie reaping won't work"); status != 0 || warned != c.warns {
			t.Errorf("%s %s %q: %d, %q", c.path, c.name, c.args, status, r.Stderr.String())
		}
	}
}

func TestWarnOnReap(t *testing.T) {
	lab.Root(t)
	for path, name := range map[string]string{lab.Tini: "", lab.Cgshim(t): "tini"} {
		r := lab.Run{Path: path, Name: name, Args: append([]string{"-w"}, sh("(sleep 0.01 &) ; sleep 0.2")...), PID1: true}
		status := r.Do(t)
		if out := r.Stderr.String(); status != 0 || strings.Count(out, "Reaped zombie process with pid=") != 1 {
			t.Errorf("%s: %d, %q", path, status, out)
		}
	}
}

// docs/tini-compat.md has this table.
func TestCompatibilityPage(t *testing.T) {
	_, here, _, _ := runtime.Caller(0)
	page := filepath.Join(filepath.Dir(here), "../../docs/tini-compat.md")
	var b strings.Builder
	b.WriteString("# cgshim and tini, case by case\n\n" +
		"Generated from `test/tini`, where each case is run against Debian's tini 0.19.0 and\n" +
		"against cgshim: `go test ./tini -update` writes this page.\n\n" +
		"Under tini's names, which are `tini`, `tini-static`, `docker-init`, `podman-init` and\n" +
		"`/dev/init`, the output is compared too: each line of the log, which process writes it,\n" +
		"and what goes to stdout and stderr besides. The exit status under these names is tini's,\n" +
		"except where the last column says \"under every name\".\n\n" +
		"What differs by design and shows in no exit status:\n\n" +
		"- The log goes to stderr only. tini writes the lines of `-v`, `-vv` and `-vvv` to stdout.\n" +
		"- `-h` prints the options of cgshim, and `-l` the licence of cgshim.\n" +
		"- `-P` and each long option are taken too, like `-x`, `-r` and those below. They count only before the\n" +
		"  program, because behind it tini's names refuse them as tini does.\n" +
		"- A signal that cannot be forwarded (EPERM) and a closed stdin do not end the container.\n" +
		"  tini's message about the signal is a warning then.\n" +
		"- With `-g` a program that has left its process group gets the signal too.\n" +
		"- The value of a signal that was sent by sigqueue(3) is forwarded with it.\n" +
		"- The init gives the program the terminal also if the terminal is not standard input, as PID 1 or as\n" +
		"  the leader of a session.\n" +
		"- An idle init does not wake up. tini with `-vvv` writes \"No child to reap\" each second.\n" +
		"- The init's working directory is `/` and its inherited descriptors are closed once the\n" +
		"  child runs. Those of locked files stay open, because a POSIX lock would be lost.\n" +
		"- Where tini prints nothing, cgshim logs what its own options do, such as\n" +
		"  `--stop-timeout`.\n" +
		"- Under its own name cgshim becomes a child subreaper by itself where it is not PID 1,\n" +
		"  without a warning, and its messages are its own.\n")
	section := ""
	for _, r := range rows() {
		if r.section != section {
			section = r.section
			b.WriteString("\n## " + section + "\n\n| case | arguments | tini | cgshim | why it differs |\n|---|---|---|---|---|\n")
		}
		own := r.status
		if r.own != none {
			own = r.own
		}
		args := strings.Join(append(r.env, quote(r.args)...), " ")
		if len(args) > 60 { // the name of such a case has the arguments
			args = args[:57] + "..."
		}
		fmt.Fprintf(&b, "| %s | `%s` | %d | %d | %s |\n", r.name, strings.NewReplacer("|", "\\|", "\t", "\\t").Replace(args), r.status, own, r.differs)
	}
	golden.File(t, page, b.String(), "the table", "go test ./tini -update")
}

func quote(args []string) []string {
	var quoted []string
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " $;()&|") {
			arg = "'" + arg + "'"
		}
		quoted = append(quoted, arg)
	}
	return quoted
}
