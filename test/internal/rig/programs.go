package rig

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Program is built from the Go module proxy. Its module in test/programs pins it and
// all that it is made of, apart from the tests' own module.
type Program struct {
	Module  string // the directory in test/programs
	Package string
	Output  string // the file, "" for the package's last part
	Flags   []string
	Cgo     bool
}

func (p Program) dir() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../programs", p.Module)
}

func (p Program) name() string { return cmp.Or(p.Output, filepath.Base(p.Package)) }

// build puts the program into the directory, as one static file. Whoever waits for the
// processor comes first.
func (p Program) build(into string) error {
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	ldflags, flags := []string{"-s", "-w"}, []string{"-trimpath", "-buildvcs=false"}
	for _, flag := range p.Flags {
		if strings.HasPrefix(flag, "-X") || strings.HasPrefix(flag, "-extldflags") {
			ldflags = append(ldflags, flag)
		} else {
			flags = append(flags, flag)
		}
	}
	began := time.Now()
	args := slices.Concat([]string{"-n", "10", "go", "build"}, flags,
		[]string{"-ldflags", strings.Join(ldflags, " "), "-o", filepath.Join(into, p.name()), p.Package})
	cmd := exec.Command("nice", args...)
	cmd.Dir = p.dir()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if p.Cgo {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", p.Package, err, out)
	}
	fmt.Fprintf(os.Stderr, "rig: built %s in %.0f s\n", p.name(), time.Since(began).Seconds())
	return nil
}
