package shim

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Other users may write below /run. Whatever they put there, --dind waits for nothing and
// touches nothing but files with the name of a pid file.

// stale is the content of a pid file without a process. It is above the kernel's highest
// pid_max.
const stale = "4194305\n"

func TestHostilePidFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		put  func(path, victim string) error
		gone bool
	}{
		{"a FIFO", func(path, _ string) error { return unix.Mkfifo(path, 0o666) }, false},
		{"a socket", func(path, _ string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) }, false},
		{"a link", func(path, victim string) error { return os.Symlink(victim, path) }, false},
		{"a link to itself", func(path, _ string) error { return os.Symlink(path, path) }, false},
		{"a directory", func(path, _ string) error { return os.Mkdir(path, 0o777) }, false},
		{"a huge file", func(path, _ string) error {
			return firstError(os.WriteFile(path, nil, 0o666), os.Truncate, path, 6<<30)
		}, false},
		{"a hard link, of which the name alone goes", func(path, victim string) error { return os.Link(victim, path) }, true},
		{"a file whose lease another process has", lease, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := emptyRun(t)
			victim, path := filepath.Join(t.TempDir(), "victim"), filepath.Join(run, "docker.pid")
			put(t, victim, stale, 0o644)
			if err := c.put(path, victim); err != nil {
				t.Fatal(err)
			}
			soon(t, func() { removeStalePidFiles([]string{"dockerd", "--pidfile", path}, new(world)) })
			if _, err := os.Lstat(path); (err != nil) != c.gone {
				t.Errorf("the pid file: %v", err)
			}
			if text, err := os.ReadFile(victim); err != nil || string(text) != stale {
				t.Errorf("the victim: %q, %v", text, err)
			}
		})
	}
}

func firstError(err error, truncate func(string, int64) error, path string, size int64) error {
	if err != nil {
		return err
	}
	return truncate(path, size)
}

// lease makes every open(2) of the file wait for its holder, which never answers.
func lease(path, _ string) error {
	if err := os.WriteFile(path, []byte(stale), 0o666); err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK)
	}
	return err
}

func soon(t *testing.T, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		do()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
}

func TestTheSearchHasAnEnd(t *testing.T) {
	t.Run("in a deep tree", func(t *testing.T) {
		run := emptyRun(t)
		deep := run + strings.Repeat("/d", 40)
		if err := os.MkdirAll(deep, 0o755); err != nil {
			t.Fatal(err)
		}
		near := filepath.Join(run, strings.Repeat("d/", mostDepth), "docker.pid")
		put(t, near, stale, 0o644)
		put(t, filepath.Join(deep, "docker.pid"), stale, 0o644)
		_, w := newJob(t, Config{})
		removeStalePidFiles(nil, w)
		w.wants("info stale pid file removed path=" + filepath.Clean(near))
	})
	t.Run("in a wide tree", func(t *testing.T) {
		run := emptyRun(t)
		for i := range 200 {
			put(t, filepath.Join(run, fmt.Sprint("docker", i, ".pid")), stale, 0o644)
		}
		found := 0
		search := pidSearch{left: 50, seen: map[string]bool{}, found: func(int, string, string) { found++ }}
		search.everywhere(nil)
		if found > 50 || search.left != 0 {
			t.Errorf("found %d, left %d", found, search.left)
		}
	})
}

// While a pid file is exchanged for a link all the time, the link's target stays.
func TestAPidFileThatChangesBetweenLookAndOpen(t *testing.T) {
	run := emptyRun(t)
	victim := filepath.Join(t.TempDir(), "docker.pid")
	put(t, victim, stale, 0o644)
	path := filepath.Join(run, "docker.pid")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.WriteFile(run+"/a", []byte(stale), 0o644)
			_ = os.Rename(run+"/a", path)
			_ = os.Symlink(victim, run+"/b")
			_ = os.Rename(run+"/b", path)
			_ = os.Remove(path)
			_ = os.Symlink(filepath.Dir(victim), path)
			_ = os.Remove(path)
		}
	}()
	removed := new(removals)
	soon(t, func() {
		for removed.n < 30 {
			removeStalePidFiles(nil, removed)
		}
	})
	close(stop)
	<-done
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
}

// removals counts the files that were removed.
type removals struct {
	world
	n int
}

func (r *removals) Log(_ Level, message string, _ ...any) {
	if message == "stale pid file removed" {
		r.n++
	}
}

// Any user can give a process the name of a daemon.
func TestAProcessOfAnotherUserIsNoDaemon(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start a process of another user")
	}
	dir, err := os.MkdirTemp("/tmp", "cgshim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	daemon := filepath.Join(dir, "dockerd")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	put(t, daemon, string(binary), 0o755)
	cmd := exec.Command(daemon, "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	run := emptyRun(t)
	for owner, stays := range map[int]bool{0: false, 65534: true} {
		path := filepath.Join(run, fmt.Sprint("docker", owner, ".pid"))
		put(t, path, strconv.Itoa(cmd.Process.Pid), 0o644)
		if err := os.Chown(path, owner, owner); err != nil {
			t.Fatal(err)
		}
		if _, kept := holder(unix.AT_FDCWD, path); kept != stays {
			t.Errorf("the file of user %d: %v", owner, kept)
		}
	}
}
