package process

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// helpers are functions that the test binary runs instead of the tests. A test that
// needs signals, descriptors or children of its own starts this binary again with the
// name of a helper. A helper runs on the main thread and prints its findings.
var helpers = map[string]func(){}

const helperEnv = "CGSHIM_TEST_HELPER"

func init() {
	if os.Getenv(helperEnv) != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helpers[name]()
		syscall.Exit(0) // os.Exit would print a warning in a binary with coverage
	}
	os.Exit(m.Run())
}

func helper(name string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(env, helperEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// wants compares the output of a helper.
func wants(t *testing.T, cmd *exec.Cmd, want ...string) {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := string(bytes.TrimSpace(out)); got != strings.Join(want, "\n") {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.ReplaceAll(got, "\n", "\n\t"), strings.Join(want, "\n\t"))
	}
}

// needNative skips a test in builds with cgo or -race. The released binary has neither.
func needNative(t *testing.T) {
	t.Helper()
	if Lacks() == "without assembly" {
		t.Skip("a portable build takes signals by os/signal")
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
