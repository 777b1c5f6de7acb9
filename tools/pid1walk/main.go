// Command pid1walk proves that PID 1 lives without Go's runtime. It builds the binary with
// symbols, and walks all calls and jumps from the ELF entry point. It fails, and names the
// path of calls, if
//
//   - a function is reached that is not of PID 1's packages, but for a few routines in
//     assembly (lists.go);
//   - a call or jump is indirect where the list has none;
//   - a chain of frames is deeper than the stack, or has no end;
//   - an optimized build has more checks that end PID 1 (an index out of range) than -ends
//     allows;
//   - a package of PID 1 has to be initialized by the runtime, or a variable of another
//     package is used;
//   - a function lies outside the pages that PID 1 keeps, or uses read-only data, which lies
//     in pages that PID 1 does not keep.
//
// On ports whose decoder finds only calls and jumps (decode.go) it checks neither variables nor
// read-only data. It does not see what assembly does to the stack pointer by way of a register.
// Variables lie in pages that the process can write. As long as it has not written to such a
// page, the page is one of the file too. The tool prints how many of these there are.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A build is a way to build the tree.
type build struct{ dir, module, goarch, gcflags, ldflags string }

func main() {
	b := build{}
	r := rules{exceptions: exceptions}
	flag.StringVar(&b.dir, "dir", ".", "the `directory` of the package main")
	archs := flag.String("goarch", "386,amd64,arm,arm64,loong64,ppc64le,riscv64,s390x", "build for each of these `architectures`")
	var gcflags []string
	flag.Func("gcflags", "build with these `flags` of the compiler too; repeatable (default none, and all=-N -l)", func(s string) error {
		gcflags = append(gcflags, s)
		return nil
	})
	flag.StringVar(&b.ldflags, "ldflags", "", "`flags` of the linker (default -w -E ENTRY)")
	flag.StringVar(&r.entry, "entry", "shim/pid1.entry", "the ELF entry point; this and other `names` are without the path of the module")
	packages := flag.String("packages", "shim/pid1,reaper,internal/sys", "PID 1's `packages`")
	flag.Func("pinned", "the pages of this `package, function or FIRST:LAST` stay; repeatable (default -packages)", func(s string) error {
		r.pinned = append(r.pinned, s)
		return nil
	})
	flag.IntVar(&r.stack, "stack", 49152, "`bytes` of PID 1's stack")
	flag.IntVar(&r.maxEnds, "ends", 0, "the most `calls` that end PID 1")
	flag.Parse()
	r.packages = strings.Split(*packages, ",")
	if r.pinned == nil {
		r.pinned = r.packages
	}
	if gcflags == nil {
		gcflags = []string{"", "all=-N -l"}
	}
	var builds []build
	for goarch := range strings.SplitSeq(*archs, ",") {
		for _, flags := range gcflags {
			builds = append(builds, build{b.dir, "", goarch, flags, b.ldflags})
		}
	}
	if good, err := run(builds, r); err != nil {
		fmt.Fprintln(os.Stderr, "pid1walk:", err)
		os.Exit(2)
	} else if !good {
		os.Exit(1)
	}
}

// run checks the builds one after the other, and prints what it finds.
func run(builds []build, r rules) (good bool, err error) {
	good = true
	used := map[string]bool{}
	for _, b := range builds {
		w, err := b.check(r)
		if err != nil {
			return false, err
		}
		for _, f := range w.faults {
			fmt.Fprintf(os.Stderr, "%s: %s\n", b, f)
			good = false
		}
		maps.Copy(used, w.used)
		fmt.Printf("%s: %s\n", b, w.summary())
	}
	for name, e := range r.exceptions {
		if !used[name] {
			fmt.Printf("these builds need no exception for %s (%s)\n", name, e.reason)
		}
	}
	return good, nil
}

func (b build) String() string { return strings.TrimSpace(b.goarch + " " + b.gcflags) }

// check builds the binary in a directory of its own, and walks it.
func (b build) check(r rules) (*walk, error) {
	p, known := ports[b.goarch]
	if !known {
		return nil, fmt.Errorf("%s: the instructions are not known", b.goarch)
	}
	module, err := b.command("list", "-m")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pid1walk")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b.module = strings.TrimSpace(string(module))
	out := filepath.Join(dir, "binary")
	ldflags := cmp.Or(b.ldflags, "-w -E "+b.module+"/"+r.entry)
	if _, err := b.command("build", "-trimpath", "-o", out, "-gcflags", b.gcflags, "-ldflags", ldflags, "."); err != nil {
		return nil, err
	}
	img, err := open(out, b.module)
	if err != nil {
		return nil, err
	}
	r.debug = strings.Contains(b.gcflags, "-N")
	return check(img, p, r), nil
}

// command runs the go command for the port.
func (b build) command(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.goarch)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}
