package init

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// --check describes the environment and the steps of a delegation, as text and as JSON.
// It changes nothing.
func TestCheck(t *testing.T) {
	lab.Root(t)
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	r := pid1(t, "--check")
	r.Args = []string{"--check"}
	status := r.Do(t)
	text := r.Stdout.String()
	j := pid1(t, "--check")
	j.Args = []string{"--check", "--json"}
	if jStatus := j.Do(t); jStatus != status {
		t.Errorf("text %d, JSON %d", status, jStatus)
	}
	var d struct {
		Verdict, State, Reason string
		Steps                  []string
		Facts                  struct {
			PID int
			Own *struct{ Path string }
		}
	}
	if err := json.Unmarshal([]byte(j.Stdout.String()), &d); err != nil {
		t.Fatalf("%v: %q", err, j.Stdout.String())
	}
	for _, part := range []string{d.Verdict, d.State, d.Reason, "kernel", "/sys/fs/cgroup"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	if d.Verdict == "" || d.Facts.PID != 1 || status != 0 && status != 1 || (status == 0) != (d.Reason == "") {
		t.Errorf("%d, %+v", status, d)
	}
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || string(after) != string(before) {
		t.Errorf("mounts have changed: %v", err)
	}
}

// --check as an exec in a running container, without any privilege.
func TestCheckBesideAnInit(t *testing.T) {
	r := pid1(t, "--", "sleep", "1000")
	r.Start(t)
	r.Child(t)
	for _, as := range [][]string{nil, {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"}} {
		args := append([]string{"-p", "-t", strconv.Itoa(r.PID())}, as...)
		check := lab.Run{Path: "/usr/bin/nsenter", Args: append(args, lab.Cgshim(t), "--check")}
		if status := check.Do(t); status > 1 || !strings.Contains(check.Stdout.String(), "not PID 1") {
			t.Errorf("%q: %d, %q, %q", as, status, check.Stdout.String(), check.Stderr.String())
		}
	}
}

// A failed write is an error, because a script must not take an empty answer for
// success.
func TestOutputThatCannotBeWritten(t *testing.T) {
	lab.Root(t)
	for _, option := range []string{"--check", "--help", "--version"} {
		r := lab.Run{Path: "/bin/sh", Args: []string{"-c", lab.Cgshim(t) + " " + option + " >/dev/full"}}
		if status := r.Do(t); status != 1 {
			t.Errorf("%s: %d, %q", option, status, r.Stderr.String())
		}
	}
}

// Without /proc, without /sys and without both, the child runs, and one line names the
// missing mount.
func TestWithoutProcOrSys(t *testing.T) {
	lab.Root(t)
	for _, gone := range []string{"/proc", "/sys", "/sys && umount -l /proc"} {
		r := lab.Run{Path: "/bin/sh", PID1: true, Attr: syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}, Args: []string{
			"-c", "mount --make-rprivate / && umount -l " + gone + " && exec " + lab.Cgshim(t) + " -- sh -c 'exit 7'",
		}}
		status := r.Do(t)
		if out := r.Stderr.String(); status != 7 || strings.Count(out, "\n") > 1 || strings.HasSuffix(gone, "/proc") && !strings.Contains(out, "/proc") {
			t.Errorf("without %s: %d, %q", gone, status, out)
		}
	}
}

// --check says whether the program would start, and names what requires a delegation.
func TestCheckSaysWhetherTheProgramWouldStart(t *testing.T) {
	lab.Root(t)
	for _, c := range []struct{ option, variable, why string }{
		{"--cgroup=require", "", "--cgroup=require"},
		{"--check", "require", "CGSHIM_CGROUP=require"},
		{"--cgroup=auto", "require", ""},
	} {
		r := pid1(t)
		r.Args = []string{"-c", "mount --make-rprivate / && mount -t tmpfs none /sys/fs && mkdir /sys/fs/cgroup && mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" --check " + c.option, lab.Cgshim(t)}
		r.Path, r.Attr.Cloneflags = "/bin/sh", r.Attr.Cloneflags|syscall.CLONE_NEWNS
		r.Env = append(lab.Environ(), "CGSHIM_CGROUP="+c.variable)
		status, text := r.Do(t), r.Stdout.String()
		verdict, _, _ := strings.Cut(text, "\n")
		if want := "the program would not start, because " + c.why + " requires a delegation"; status != 1 || strings.Contains(verdict, want) != (c.why != "") {
			t.Errorf("%q, %q: %d, %s, %s", c.option, c.variable, status, verdict, r.Stderr.String())
		}
	}
}
