package pid1

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helpers are functions that the test binary runs instead of the tests, in a process of
// their own. A helper gets the text of the test's input.
var helpers = map[string]func(input string){}

const (
	helperEnv = "CGSHIM_TEST_HELPER"
	inputEnv  = "CGSHIM_TEST_INPUT"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helpers[name](os.Getenv(inputEnv))
		syscall.Exit(0) // os.Exit would print a warning in a binary with coverage
	}
	os.Exit(m.Run())
}

// helped runs a helper and returns what it writes to both outputs, and its status.
func helped(t *testing.T, dir, name string, input any) (output string, status int) {
	t.Helper()
	data, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Dir = dir
	cmd.Env = []string{helperEnv + "=" + name, inputEnv + "=" + string(data)}
	out, err := cmd.CombinedOutput()
	if ended := new(exec.ExitError); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// input decodes the input of a helper.
func input[T any](text string) (in T) {
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		panic(err)
	}
	return in
}

// newLife returns a PID 1 with empty orders.
func newLife() *life {
	return &life{orders: &Orders{PID: os.Getpid(), Notify: -1}, oldNS: -1}
}

// said returns what is on the page, and empties it.
func (l *life) said() string {
	text := string(l.page.text[:l.page.n])
	l.page.n = 0
	return text
}

// setLines sets a line for every ID, which tells the values.
func (l *life) setLines(lines map[LineID]string) {
	for id, line := range lines {
		l.orders.SetLine(id, line)
	}
	for sig := Signal(1); sig < NumSignals; sig++ {
		name := unix.SignalName(sig)
		l.orders.SetSignal(sig, name, strings.ToLower(name))
	}
	for _, errno := range []syscall.Errno{unix.EPERM, unix.ENOENT, unix.EACCES, unix.EAGAIN} {
		l.orders.SetErrno(errno, errno.Error())
	}
}

// noSource is an ordinary Go program that no signal reaches.
type noSource struct{ pending Set }

func (noSource) Next(time.Duration) (Signal, bool) { return 0, false }
func (noSource) Help(Role)                         {}
func (s noSource) Pending() Set                    { return s.pending }
