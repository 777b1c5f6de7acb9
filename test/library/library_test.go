// Package library tests the package cgroup in a program of another module, the supervisor of
// examples/library.
package library

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// supervisor builds the example, which has a module of its own.
func supervisor(t *testing.T) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	bin := filepath.Join(t.TempDir(), "supervisor")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = filepath.Join(filepath.Dir(here), "../../examples/library")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// container returns the run of a program as PID 1 in a container's cgroup. The container
// shares the host's cgroup namespace, so a delegation takes every step.
func container(t *testing.T, path string, args ...string) *lab.Run {
	t.Helper()
	lab.Root(t)
	dir := lab.Cgroup(t)
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { group.Close() })
	r := &lab.Run{Path: "/bin/sh", PID1: true, Attr: syscall.SysProcAttr{
		UseCgroupFD: true, CgroupFD: int(group.Fd()), Cloneflags: syscall.CLONE_NEWNS,
	}}
	const setUp = `mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run && mount --bind `
	r.Args = append([]string{"-c", setUp + filepath.Dir(dir) + ` /sys/fs/cgroup && exec "$0" "$@"`, path}, args...)
	return r
}

// The supervisor re-executes itself, and the new process delegates the cgroup and becomes the
// program. The program must then be in the leaf of a cgroup namespace whose root is the
// container's cgroup. The same must hold when the supervisor starts the program again after
// a failure.
func TestSupervisor(t *testing.T) {
	// $PPID is the supervisor, PID 1, because no other process is in between.
	const program = `while read -r line; do case $line in 0::*) echo "in $line under $PPID"; esac; done </proc/self/cgroup
		echo "controllers $(cat /sys/fs/cgroup/cgroup.subtree_control)"
		ls -d /sys/fs/cgroup/*/
		[ -e /run/failed ] || { : >/run/failed; exit 3; }`
	r := container(t, supervisor(t), "sh", "-c", program)
	status := r.Do(t)
	out, said := r.Stdout.String(), r.Stderr.String()
	want := regexp.MustCompile(`^(in 0::/init under 1\ncontrollers \S.*\n/sys/fs/cgroup/init/\n/sys/fs/cgroup/spare/\n){2}$`)
	if status != 0 || !want.MatchString(out) {
		t.Errorf("%d, %q, %q", status, out, said)
	}
	for _, part := range []string{
		"supervisor: mount shows more than the container's cgroup: /", "starting it again: exit status 3", "supervisor: already delegated: /", "ended: <nil>",
	} {
		if strings.Count(said, part) != 1 {
			t.Errorf("not once %q: %q", part, said)
		}
	}
}
