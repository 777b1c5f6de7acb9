package main

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cgshim/cgshim"

// imports has the allowed imports. main imports shim, and shim imports cgroup, reaper,
// shim/pid1 and internal/sys. PID 1 has no runtime, so shim/pid1 and what it imports may
// import of the standard library only what is listed, too. A row with a file name allows the
// import in that file only.
var imports = []struct{ dir, file, path, reason string }{
	{".", "", module + "/shim", "shim alone has the order of the steps; main only configures it"},
	{".", "options.go", module + "/cgroup", "its options and their defaults"},
	{".", "log.go", "go.uber.org/zap/zapcore", "logging is main's: the packages return facts"},
	{".", "options.go", "github.com/spf13/pflag", "a command line is read once"},
	{"shim", "", module + "/cgroup", ""},
	{"shim", "", module + "/reaper", ""},
	{"shim", "", module + "/shim/pid1", ""},
	{"shim", "shim.go", module + "/internal/sys", "in a portable build it makes the calls itself that a helper asks PID 1 for"},
	{"shim", "", "golang.org/x/sys/unix", ""},
	{"cgroup", "", "golang.org/x/sys/unix", ""},
	{"shim/pid1", "", module + "/reaper", ""},
	{"shim/pid1", "", module + "/internal/sys", ""},
	{"shim/pid1", "", "golang.org/x/sys/unix", "numbers and structures of the kernel"},
	{"shim/pid1", "", "syscall", "the type Errno"},
	{"shim/pid1", "", "time", "the type Duration and its units"},
	{"shim/pid1", "", "unsafe", "addresses for the kernel"},
	{"shim/pid1", "calls.go", "runtime", "the constant GOARCH"},
	{"shim/pid1", "ask.go", "os", "its code runs in helpers, which have the runtime"},
	{"shim/pid1", "ask.go", "sync/atomic", "a helper and PID 1 share the orders"},
	{"internal/sys", "", "syscall", "the type Errno, and on the other ports a system call"},
	{"reaper", "reaper.go", module + "/internal/sys", "PID 1 calls it without Go's runtime"},
	{"reaper", "", "golang.org/x/sys/unix", ""},
	{"reaper", "", "syscall", "the types Errno and Signal"},
	{"reaper", "", "unsafe", "the address of the status for the kernel"},
	{"reaper", "pause.go", "github.com/hashicorp/go-reap", "it waits for any child and drops the status, so no other file may use it"},
}

// noRuntime has the packages whose code PID 1 runs.
var noRuntime = []string{"shim/pid1", "internal/sys", "reaper"}

// banned has the packages that the binary must not contain, even through other packages.
// The test cannot ban net, because pflag imports net for IP values.
var banned = map[string]string{
	"go.uber.org/zap": "its level handler links net/http: 4.0 MB instead of 2.1",
	"net/http":        "an init has no business there, and it doubles the binary",
	"os/exec":         "its Wait and the reaper's would race for the same child",
	"runtime/cgo":     "the binary is static and runs in an empty image",
	"text/template":   "it calls methods by name, which keeps the linker from dropping unused ones",
	"log":             "there is one logger, and it does not write through os.Stderr",
	"testing":         "it belongs into test files",
}

func TestImportsOfEachPackageAreAllowed(t *testing.T) {
	for _, dir := range []string{".", "shim", "shim/pid1", "cgroup", "reaper", "internal/sys", "internal/golden"} {
		for _, file := range sources(t, dir) {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				standard := path != "C" && !strings.Contains(path, ".")
				if standard && !slices.Contains(noRuntime, dir) {
					continue
				}
				if !allowed(dir, filepath.Base(file), path) {
					t.Errorf("%s imports %s: not in the table of this test", file, path)
				}
			}
		}
	}
}

// sources returns the Go files of a directory that are no tests.
func sources(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, "_test.go") })
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no Go files: %v", dir, err)
	}
	return files
}

func TestEveryAllowedImportIsUsed(t *testing.T) {
	for _, row := range imports {
		used := false
		for _, file := range sources(t, row.dir) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			used = used || (row.file == "" || row.file == filepath.Base(file)) && strings.Contains(string(text), strconv.Quote(row.path))
		}
		if !used {
			t.Errorf("%s no longer imports %s", row.dir, row.path)
		}
	}
}

// The build is an ordinary one. It names no part of the runtime, and `-E` is its only flag
// that a plain go build does not need.
func TestNothingNamesPartsOfTheRuntime(t *testing.T) {
	for _, dir := range []string{".", "shim", "shim/pid1", "cgroup", "reaper", "internal/sys"} {
		for _, file := range sources(t, dir) {
			if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "go:"+"linkname") {
				t.Errorf("%s has a linkname: %v", file, err)
			}
		}
	}
	for _, file := range []string{"Makefile", "Dockerfile", "test/lint.sh", "docs/packaging.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"check" + "linkname", "cgshim_release", "cgshim_portable"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %s", file, word)
			}
		}
	}
}

// PID 1 has no signal handler. It sets a signal to be ignored, where it was before, and
// SIGCHLD to its default, and in a helper SIGSYS too.
func TestPID1HandlesNoSignal(t *testing.T) {
	harmless := regexp.MustCompile(`SYS_RT_SIGACTION, uintptr\((sig|unix\.SIGCHLD|unix\.SIGSYS)\), (0|address\(&none\)|address\(&ignore\)), (0|address\(&old\)), sigsetSize\)`)
	values := regexp.MustCompile(`(none|ignore)(\[\d+\])? (:?=|\+=|\|=) `)
	calls := 0
	for _, file := range sources(t, "shim/pid1") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := strings.Count(string(text), "SYS_RT_SIGACTION")
		if calls += n; n != len(harmless.FindAllString(string(text), -1)) {
			t.Errorf("%s sets the action of a signal in another way", file)
		}
		for line := range strings.Lines(string(text)) {
			if n > 0 && values.MatchString(line) && strings.TrimSpace(line) != "ignore[0] = sigIgnore" && !strings.Contains(line, "ignore := uint") {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
	if calls == 0 {
		t.Error("PID 1 does not even set the action of SIGCHLD")
	}
}

func allowed(dir, file, path string) bool {
	for _, row := range imports {
		if row.dir == dir && row.path == path && (row.file == "" || row.file == file) {
			return true
		}
	}
	return false
}

func TestBinaryHasNoBannedPackage(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64", "386", "riscv64"} {
		cmd := exec.Command("go", "list", "-deps", ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v: %s", err, err.(*exec.ExitError).Stderr)
		}
		linked := strings.Fields(string(out))
		if !slices.Contains(linked, module+"/shim") {
			t.Fatalf("%s: go list printed no %s/shim: %s", arch, module, out)
		}
		for _, path := range linked {
			if reason, found := banned[path]; found {
				t.Errorf("%s: links %s: %s", arch, path, reason)
			}
		}
	}
}

func TestModuleRequiresExactlyFour(t *testing.T) {
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	slices.Sort(direct)
	want := []string{"github.com/hashicorp/go-reap", "github.com/spf13/pflag", "go.uber.org/zap", "golang.org/x/sys"}
	if !slices.Equal(direct, want) {
		t.Errorf("direct requirements are %v, want %v", direct, want)
	}
	if len(mod.Replace) > 0 {
		t.Errorf("replaced modules: %v", mod.Replace)
	}
}

// Programs that import the package cgroup may be built with an older Go than ours. Go
// requires the highest version that any module of the build names.
func TestNothingForcesANewerGo(t *testing.T) {
	const oldest = "1.25"
	format := "{{with .Module}}{{.Path}} {{.GoVersion}}{{end}}"
	for _, dir := range []string{".", "examples/library"} {
		cmd := exec.Command("go", "list", "-deps", "-f", format, ".")
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v: %s", dir, err, err.(*exec.ExitError).Stderr)
		}
		seen := false
		for line := range strings.Lines(string(out)) {
			path, version, _ := strings.Cut(strings.TrimSpace(line), " ")
			seen = seen || path == module && version == oldest+".0"
			if version != "" && gover(version) > gover(oldest) {
				t.Errorf("%s names Go %s", path, version)
			}
		}
		if !seen {
			t.Errorf("%s: go.mod does not say go %s.0: %s", dir, oldest, out)
		}
	}
}

// gover returns the number after the dot. The first number of every version is 1.
func gover(version string) int {
	minor, _, _ := strings.Cut(strings.TrimPrefix(version, "1."), ".")
	n, err := strconv.Atoi(minor)
	if err != nil {
		panic(version)
	}
	return n
}
