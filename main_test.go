package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const runEnv = "RUN_AS_CGSHIM"

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
			for _, c := range []struct {
				args   []string
				status int
				want   string
			}{
				{[]string{"cgshim", "-vvv", "--", program}, 3, `"program": ` + escaped + "}\n"},
				{[]string{"tini", "-vvv", "--", program}, 3, "Spawned child process '" + program + "' with pid '"},
				{[]string{"tini", "-vvv", "--", program + "x"}, 127, "exec " + program + "x failed: No such file or directory\n"},
			} {
				atLastOf(t, func() error {
					if out := outputOf(t, dir, c.status, c.args...); !strings.Contains(out, c.want) {
						return fmt.Errorf("no %s in\n%s", c.want, out)
					}
					return nil
				})
			}
			atLastOf(t, func() error {
				return wholeLines(t, outputOf(t, dir, 3, name, "--json", "-vvv", "--", program), name, program)
			})
		})
	}
}

// wholeLines checks that each line is JSON with the name, and that those about the start and
// the end of the program have its name and its PID.
func wholeLines(t *testing.T, out, name, program string) error {
	t.Helper()
	seen := 0
	for line := range strings.Lines(out) {
		var decoded struct {
			Logger, Program string
			PID             int
		}
		if err := json.Unmarshal([]byte(line), &decoded); err != nil || decoded.Logger != name {
			t.Errorf("%v in %q", err, line)
		}
		if filepath.Base(decoded.Program) == name && decoded.PID > 1 {
			seen++
		}
	}
	if seen != 2 {
		return fmt.Errorf("%d lines have %s and its PID in\n%s", seen, program, out)
	}
	return nil
}

// atLastOf fails the test if no try of some succeeds. PID 1 gives a line up that is not
// written in 100 ms, as on a machine that is busy.
func atLastOf(t *testing.T, try func() error) {
	t.Helper()
	var err error
	for range 10 {
		if err = try(); err == nil {
			return
		}
	}
	t.Error(err)
}
