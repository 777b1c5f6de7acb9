package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// redirected makes a descriptor refer to another file while fn runs, and returns the
// content of the file.
func redirected(t *testing.T, fd, flags int, fn func()) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	put(t, name, "", 0o644)
	file, err := unix.Open(name, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(file)
	saved, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(file, fd, 0); err != nil {
		t.Fatal(err)
	}
	fn()
	err = unix.Dup3(saved, fd, 0)
	unix.Close(saved)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestStandardOutputs(t *testing.T) {
	long := strings.Repeat("text ", 10_000)
	for fd, write := range map[int]func([]byte) (int, error){1: Stdout{}.Write, 2: Stderr{}.Write} {
		var n int
		var err error
		if got := redirected(t, fd, unix.O_WRONLY, func() { n, err = write([]byte(long)) }); got != long || n != len(long) || err != nil {
			t.Errorf("descriptor %d: %d of %d bytes, %d reported, %v", fd, len(got), len(long), n, err)
		}
		redirected(t, fd, unix.O_RDONLY, func() { n, err = write([]byte(long)) })
		if n > 0 || !errors.Is(err, unix.EBADF) {
			t.Errorf("descriptor %d, which cannot be written to: %d, %v", fd, n, err)
		}
	}
	if err := (Stderr{}).Sync(); err != nil {
		t.Error(err)
	}
}

func TestFacade(t *testing.T) {
	for key, want := range map[string]string{"A": "1", "B": "", "C": "none", "": "none", "X": "first"} {
		value, set := LookupEnv([]string{"A=1", "B=", "C", "AA=2", "X=first", "X=second"}, key)
		if set != (want != "none") || set && value != want {
			t.Errorf("%q is %q, set: %v", key, value, set)
		}
	}
	if sig, err := ParseSignal("TERM"); err != nil || sig != unix.SIGTERM || !SetOf(sig).Has(unix.SIGTERM) || SetOf(sig).Has(unix.SIGINT) {
		t.Errorf("%v, %v", sig, err)
	}
	if !Rewritable(unix.SIGTTIN) || Rewritable(unix.SIGCHLD) {
		t.Error("what can be rewritten")
	}
	if Portable() != "portable build" { // a test binary has no ELF entry point
		t.Errorf("%q", Portable())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, unix.EPIPE }

func TestCheck(t *testing.T) {
	var text, asJSON bytes.Buffer
	status := Check(Config{}, false, &text)
	if again := Check(Config{}, true, &asJSON); again != status {
		t.Errorf("status %d as text, %d as JSON", status, again)
	}
	var d struct {
		Verdict, State string
		Steps          []string
		Facts          map[string]any
	}
	if err := json.Unmarshal(asJSON.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Verdict == "" || d.State == "" || d.Steps == nil || d.Facts["kernel"] == "" {
		t.Errorf("%s", asJSON.String())
	}
	if (status == 0) != (d.Verdict != "cgroups will not be delegated") || status != 0 && status != ExitFailure {
		t.Errorf("status %d with %q", status, d.Verdict)
	}
	for key, value := range map[string]string{"verdict": d.Verdict, "state": d.State, "kernel": d.Facts["kernel"].(string)} {
		if line := key + strings.Repeat(" ", 22-len(key)) + value + "\n"; !strings.Contains(text.String(), line) {
			t.Errorf("no %q in\n%s", line, text.String())
		}
	}
	if status := Check(Config{}, true, brokenWriter{}); status != ExitFailure {
		t.Errorf("status %d where nothing could be written", status)
	}
	text.Reset()
	if Check(Config{CgroupMode: CgroupOff}, false, &text); !strings.Contains(text.String(), "--cgroup=off is set") && status == 0 {
		t.Errorf("nothing of --cgroup=off in\n%s", text.String())
	}
}
