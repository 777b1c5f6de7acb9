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

// helpers are what the test binary does in the place of the tests where a test needs a
// process of its own: its signals, its descriptors, its children. Each runs on the main
// thread and prints its findings.
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
		syscall.Exit(0) // without what a binary with coverage does in the end
	}
	os.Exit(m.Run())
}

func helper(name string, env ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(env, helperEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// wants compares what a helper prints.
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

// needNative leaves out what holds without cgo and -race only, as the binary is built.
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
