package builds

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// ports are those whose entry point no other test of a push runs, with what runs them here.
// Go's runtime crashes under qemu-i386. QEMU's user mode has no subreaper, so only PID 1 is
// tested.
var ports = []struct{ goarch, emulator string }{
	{"386", ""},
	{"arm", "qemu-arm-static"},
	{"loong64", "qemu-loongarch64-static"},
	{"ppc64le", "qemu-ppc64le-static"},
	{"riscv64", "qemu-riscv64-static"},
	{"s390x", "qemu-s390x-static"},
}

func TestEntryOfEachPort(t *testing.T) {
	lab.Root(t)
	for _, port := range ports {
		if port.emulator == "" && runtime.GOARCH != "amd64" {
			continue
		}
		t.Run(port.goarch, func(t *testing.T) {
			t.Parallel()
			b := build{native: true}
			bin := b.make(t, "GOARCH="+port.goarch)
			cgshim, tini := as(t, "cgshim", port.emulator, bin), as(t, "docker-init", port.emulator, bin)
			testVersion(t, b, cgshim)
			testStatus(t, b, cgshim)
			testSignals(t, cgshim)
			testSignals(t, tini)
			testOrphans(t, cgshim)
			if port.emulator == "" {
				testLimits(t, b, cgshim)
			}
			for _, c := range []struct {
				name   string
				args   []string
				status int
				says   string // part of what it writes
			}{
				{"log lines", []string{"-vv", "--", "sh", "-c", "exit 7"}, 7, `"status": 7, "elapsed": "`},
				{"not executable", []string{"--", "/etc/passwd"}, 126, "permission denied"},
				{"no delegation", []string{"--cgroup=off", "--", "sh", "-c", "exit 7"}, 7, ""},
				{"--exec", []string{"--exec", "--", "sh", "-c", "exit $(($$ + 6))"}, 7, ""},
				{"the stop time-out", []string{"--stop-timeout=100ms", "--", "sh", "-c", "trap '' TERM; kill -TERM 1; while :; do sleep 0.02; done"}, 137, "did not stop in time"},
			} {
				if _, stderr, status := run(t, cgshim, nil, c.args...); status != c.status || !strings.Contains(stderr, c.says) {
					t.Errorf("%s: status %d, want %d: %s", c.name, status, c.status, stderr)
				}
			}
		})
	}
}

// as returns a script that becomes the binary under this name.
func as(t *testing.T, name, emulator, bin string) string {
	t.Helper()
	script := filepath.Join(t.TempDir(), name)
	line := fmt.Sprintf("exec -a %s %s", name, bin)
	if emulator != "" {
		line = fmt.Sprintf("exec %s -0 %s %s", emulator, name, bin)
	}
	if err := os.WriteFile(script, []byte("#!/bin/bash\n"+line+` "$@"`+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}
