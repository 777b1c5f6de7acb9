package shim

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// emptyRun makes the code look for pid files in a directory of the test, because this
// machine may have pid files of its own.
func emptyRun(t *testing.T) (dir string) {
	t.Helper()
	old, host := pidRoots, onHost
	t.Cleanup(func() { pidRoots, onHost = old, host })
	onHost = func() bool { return false } // the tests may run there
	dir = t.TempDir()
	pidRoots = []string{dir, filepath.Join(dir, "missing")}
	return dir
}

func TestPrepareDind(t *testing.T) {
	shared := fmt.Sprintf("mount  /  %#x", unix.MS_SHARED|unix.MS_REC)
	t.Run("without --dind nothing is done", func(t *testing.T) {
		j, w := newJob(t, Config{})
		j.prepareDind()
		w.wants()
	})
	t.Run("--dind makes / shared, after every mount of its own", func(t *testing.T) {
		emptyRun(t)
		j, w := newJob(t, Config{Dind: true})
		j.prepareDind()
		if i := slices.Index(w.trace, shared); i < 0 || i != len(w.trace)-1 {
			t.Errorf("%q", w.trace)
		}
	})
	t.Run("a mount that is refused is a warning", func(t *testing.T) {
		emptyRun(t)
		j, w := newJob(t, Config{Dind: true})
		w.mounts = unix.EPERM
		j.prepareDind()
		if n := len(w.trace); n < 2 || w.trace[n-2] != shared ||
			w.trace[n-1] != "warn docker-in-docker chore not done op=mount --make-rshared / err=operation not permitted" {
			t.Errorf("%q", w.trace)
		}
	})
	t.Run("the host is left as it is", func(t *testing.T) {
		run := emptyRun(t)
		onHost = func() bool { return true }
		put(t, filepath.Join(run, "docker.pid"), "4194305", 0o644)
		j, w := newJob(t, Config{Dind: true})
		j.prepareDind()
		w.wants("warn docker-in-docker chores skipped reason=this process has, or may have, the mounts of the host")
		if _, err := os.Stat(filepath.Join(run, "docker.pid")); err != nil {
			t.Error(err)
		}
	})
}

func TestPidFilesAreLookedForWhereDockerdPutsThem(t *testing.T) {
	run, other := emptyRun(t), t.TempDir()
	file := func(dir, name string) string {
		put(t, filepath.Join(dir, name), "1", 0o644)
		return filepath.Join(dir, name)
	}
	docker, nested := file(run, "docker.pid"), file(run, "docker/containerd/Containerd.PID")
	file(run, "dockerd.log")
	file(run, "sshd.pid")
	inRun := []string{docker, nested}
	execRoot, dataRoot, named := file(other, "exec/docker.pid"), file(other, "data/containerd/containerd.pid"), file(other, "some.pid")
	for _, c := range []struct {
		name string
		args []string
		want []string
	}{
		{"below /run", []string{"program"}, inRun},
		{"below --exec-root", []string{"dockerd", "--exec-root", other + "/exec"}, append(slices.Clone(inRun), execRoot)},
		{"below --data-root", []string{"/usr/bin/dockerd", "--data-root=" + other + "/data"}, append(slices.Clone(inRun), dataRoot)},
		{"below -g", []string{"sh", "dockerd-entrypoint.sh", "-g", other + "/data"}, append(slices.Clone(inRun), dataRoot)},
		{"the file of --pidfile, whatever its name is", []string{"dockerd", "-p" + named}, append([]string{named}, inRun...)},
		{"what the options of another program mean is not known", []string{"program", "-p" + named, "--exec-root=" + other + "/exec"}, inRun},
		{"a --pidfile that is a directory is left", []string{"dockerd", "-p", other}, inRun},
		{"a file that is found twice counts once", []string{"dockerd", "--exec-root=" + run}, inRun},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			search := pidSearch{left: mostEntries, seen: map[string]bool{}, found: func(_ int, _, path string) { got = append(got, path) }}
			search.everywhere(c.args)
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// A file stays if its daemon is alive, and if it is not a pid file.
func TestHolder(t *testing.T) {
	dir := t.TempDir()
	daemon := filepath.Join(dir, "dockerd") // comm is the name of the executed file
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, daemon); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(daemon)
	cmd.Env = []string{helperEnv + "=reader"}
	startReader(t, cmd)
	alive := cmd.Process.Pid
	for _, c := range []struct {
		name, file, content string
		stays               bool
	}{
		{"a daemon that lives", "docker.pid", strconv.Itoa(alive) + "\n", true},
		{"a process that is gone", "docker.pid", "4194305", false},
		{"a process that is no daemon", "containerd.pid", strconv.Itoa(os.Getppid()), false},
		{"an empty file of a daemon, killed before it wrote its number", "dockerd.pid", " \n", false},
		{"an empty file of something else", "some.pid", "", true},
		{"no number", "docker.pid", "text", true},
		{"no process has the number 0", "docker.pid", "0", true},
		{"nor a negative one", "docker.pid", "-1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), c.file)
			put(t, file, c.content, 0o644)
			if pid, stays := holder(unix.AT_FDCWD, file); stays != c.stays {
				t.Errorf("pid %d, stays %v", pid, stays)
			}
		})
	}
	t.Run("a file that cannot be read", func(t *testing.T) {
		if _, stays := holder(unix.AT_FDCWD, dir); !stays {
			t.Error("it goes")
		}
	})
	t.Run("the log tells what was kept and what was removed", func(t *testing.T) {
		run := emptyRun(t)
		kept, gone := filepath.Join(run, "docker.pid"), filepath.Join(run, "containerd.pid")
		put(t, kept, strconv.Itoa(alive), 0o644)
		put(t, gone, "4194305", 0o644)
		_, w := newJob(t, Config{})
		removeStalePidFiles([]string{"dockerd"}, w)
		slices.Sort(w.trace)
		w.wants("info pid file kept path="+kept+" pid="+strconv.Itoa(alive), "info stale pid file removed path="+gone)
	})
}
