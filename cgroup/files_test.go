package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/internal/golden"
)

// docs/cgroup.md has the table of files.go.
func TestFilesAreDocumented(t *testing.T) {
	if _, err := os.Stat("files.go"); err != nil {
		t.Skip("the sources are not here, as in a VM: make test runs it")
	}
	var b strings.Builder
	b.WriteString("| file | class | in the leaf |\n|---|---|---|\n")
	for _, f := range files {
		b.WriteString("| `" + f.pattern + "` | " + string(f.class) + " | " + f.note + " |\n")
	}
	golden.Section(t, "../docs/cgroup.md", "<!-- begin files -->\n", "<!-- end files -->\n", b.String(),
		"files.go", "go test ./cgroup -run TestFiles -update")
}

func TestClassesOfFiles(t *testing.T) {
	for name, want := range map[string]class{
		"cpu.max": classLimit, "cpu.uclamp.min": classProtection, "memory.low": classProtection, "memory.oom.group": classLimit,
		"cpu.weight.nice": classInherited, "hugetlb.2MB.rsvd.max": classInherited, "cpuset.cpus.partition": classInherited, "cgroup.kill": classInherited,
		"cgroup.pressure": classCounter, "cpu.stat.local": classCounter, "memory.events.local": classCounter, "pids.peak": classCounter,
		"cgroup.events": classCounter, "hugetlb.1GB.numa_stat": classCounter,
	} {
		if f := row(name); f == nil || f.class != want {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := row("new.file"); f != nil || f.copied(false) {
		t.Errorf("%+v", f)
	}
}

// A new kernel has new files. Each needs a row.
func TestEveryFileOfTheKernelHasAClass(t *testing.T) {
	s := newSandbox(t)
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) == 0 {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() && row(e.Name()) == nil {
			t.Errorf("%s has no row in files.go", e.Name())
		}
	}
}

// mountedWith returns a kernel whose mountinfo has a cgroup2 with these options.
func mountedWith(t *testing.T, options string) *kernel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mountinfo")
	const before = "22 1 0:20 / /sys rw - sysfs sysfs rw\n"
	if err := os.WriteFile(file, []byte(before+"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 "+options+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k := linux
	k.openat = func(dir int, name string, flags int, mode uint32) (int, error) {
		if name == "/proc/self/mountinfo" {
			name = file
		}
		return linux.openat(dir, name, flags, mode)
	}
	return &k
}

// Without memory_recursiveprot the leaf needs a protection of its own. With it, a value of
// the leaf would take the protection from inner containers.
func TestProtectionIsCopiedWhereItDoesNotPassOn(t *testing.T) {
	for options, want := range map[string]bool{"rw,nsdelegate": true, "rw": true, "rw,nsdelegate,memory_recursiveprot": false, "rw,memory_recursiveprot,pids_localevents": false} {
		k := mountedWith(t, options)
		m := newMirrored(MirrorLimits, "init", k.recursive())
		for _, name := range []string{"memory.min", "memory.low"} {
			if got := slices.Contains(m.watched(), name); got != want {
				t.Errorf("%s: %s is copied: %v", options, name, got)
			}
		}
		if !slices.Contains(m.watched(), "cpu.uclamp.min") {
			t.Errorf("%s: %q", options, m.watched())
		}
	}
}
