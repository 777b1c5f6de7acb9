package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const runEnv = "CGSHIM_TEST_RUN"

// With a variable the test binary is cgshim, in the portable build.
func TestMain(m *testing.M) {
	if os.Getenv(runEnv) != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

// outputOf runs cgshim under a name and returns what it writes.
func outputOf(t *testing.T, dir string, status int, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args, cmd.Dir, cmd.Env = args, dir, []string{runEnv + "=1", "PATH=" + os.Getenv("PATH"), "CGSHIM_CGROUP=off"}
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("%q: status %d, want %d: %v: %s", args, got, status, err, out)
	}
	return string(out)
}

// Names are data, however much they look like a part of a log line.
func TestNamesInAWholeRun(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"program", "‹j›", "8070605040302010009", `\u0000b`, `\\u0000b`, `\x00b`, `a"b`, `a\`, `"\u0000b"`, "a\nb", "%s", "<&>", "' with pid '1", `{"pid": 1}`, "b",
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexit 3\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			program := "./" + name
			quoted, err := json.Marshal(program)
			if err != nil {
				t.Fatal(err)
			}
			escaped := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(quoted))
			if out := outputOf(t, dir, 3, "cgshim", "-vvv", "--", program); !strings.Contains(out, `"program": `+escaped+"}\n") {
				t.Errorf("no %s in\n%s", escaped, out)
			}
			if out := outputOf(t, dir, 3, "tini", "-vvv", "--", program); !strings.Contains(out, "Spawned child process '"+program+"' with pid '") {
				t.Errorf("no %s in\n%s", program, out)
			}
			if out := outputOf(t, dir, 127, "tini", "-vvv", "--", program+"x"); !strings.Contains(out, "exec "+program+"x failed: No such file or directory\n") {
				t.Errorf("no %s in\n%s", program, out)
			}
			seen := 0
			for line := range strings.Lines(outputOf(t, dir, 3, name, "--json", "-vvv", "--", program)) {
				var decoded struct {
					Logger, Program string
					PID             int
				}
				if err := json.Unmarshal([]byte(line), &decoded); err != nil || decoded.Logger != name {
					t.Errorf("%v in %q", err, line)
				}
				if decoded.Program == program && decoded.PID > 1 || decoded.Program == name && decoded.PID > 1 {
					seen++
				}
			}
			if seen != 2 { // it was started, and it exited
				t.Errorf("%d lines have the program and its PID", seen)
			}
		})
	}
}
