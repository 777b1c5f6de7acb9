package starved

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// image is a directory that the FUSE daemon bindfs serves, as another daemon serves a lazily
// pulled image.
type image struct {
	dir    string
	daemon *exec.Cmd
}

// newImage makes an image with copies of these files.
func newImage(t *testing.T, files ...string) *image {
	t.Helper()
	lab.Root(t)
	source, dir := t.TempDir(), t.TempDir()
	if err := install(source, files...); err != nil {
		t.Fatal(err)
	}
	image := &image{dir, exec.Command("bindfs", "-f", source, dir)}
	var said lab.Buffer
	image.daemon.Stderr = &said
	image.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := image.daemon.Start()
	lab.Need(t, err == nil, fmt.Sprintf("bindfs (%v)", err))
	t.Cleanup(func() {
		_ = syscall.Unmount(dir, unix.MNT_DETACH)
		_ = image.daemon.Process.Kill()
		_ = image.daemon.Wait()
	})
	mounted := func() bool {
		mounts, _ := os.ReadFile("/proc/self/mountinfo")
		return strings.Contains(string(mounts), " "+dir+" ")
	}
	gone := func() bool {
		return strings.HasPrefix(lab.Status(image.daemon.Process.Pid, "State"), "Z")
	}
	lab.Until(t, "bindfs", func() bool { return mounted() || gone() })
	lab.Need(t, mounted(), "FUSE: "+said.String())
	return image
}

// hang makes every access wait that needs the daemon. The kernel answers others from its
// caches.
func (i *image) hang(t *testing.T) {
	t.Helper()
	if err := i.daemon.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pid := i.daemon.Process.Pid
	lab.Until(t, "bindfs to stop", func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, task := range tasks {
			tid, _ := strconv.Atoi(filepath.Base(task))
			if !strings.HasPrefix(lab.Status(tid, "State"), "T") {
				return false
			}
		}
		return len(tasks) > 0
	})
}

// vanish makes every access fail that needs the daemon.
func (i *image) vanish(t *testing.T) {
	t.Helper()
	if err := i.daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = i.daemon.Wait()
}

// evict has the kernel drop a process's pages of files under dir where it can, as when memory
// is scarce (madvise(2), MADV_PAGEOUT). It returns how many kB of them were in memory before
// and after.
func evict(t *testing.T, pid int, dir string) (before, after int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	before = resident(t, pid, dir)
	eachMapping(t, pid, dir, func(start, end uint64) {
		vector := [2]uintptr{uintptr(start), uintptr(end - start)} // a struct iovec with an address in the other process
		const pageout = 21
		if _, _, errno := unix.Syscall6(unix.SYS_PROCESS_MADVISE, uintptr(fd), uintptr(unsafe.Pointer(&vector)), 1, pageout, 0, 0); errno != 0 {
			t.Fatalf("process_madvise %x: %v", start, errno)
		}
	})
	return before, resident(t, pid, dir)
}

// eachMapping calls fn for each mapping of a file under dir.
func eachMapping(t *testing.T, pid int, dir string, fn func(start, end uint64)) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var start, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err == nil && strings.Contains(line, " "+dir+"/") {
			fn(start, end)
		}
	}
}

// resident returns how many kB of a process's memory are unchanged pages of files under
// dir.
func resident(t *testing.T, pid int, dir string) (kB int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		t.Fatal(err)
	}
	in, rss, anonymous := false, 0, 0
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		switch {
		case strings.Contains(fields[0], "-"):
			in = strings.Contains(line, " "+dir+"/")
		case in && fields[0] == "Rss:":
			rss, _ = strconv.Atoi(fields[1])
		case in && fields[0] == "Anonymous:":
			anonymous, _ = strconv.Atoi(fields[1])
			kB += rss - anonymous
		}
	}
	return kB
}

// The init must work without its file, because a lazily pulled image can go away. It must then
// still forward a signal, reap, and kill at the stop time-out.
func TestImageThatGoesAway(t *testing.T) {
	both(t, "loses the file system of its image, and every page that can be read again is dropped", func(t *testing.T, s side) sight {
		files := newImage(t, s.path())
		r := s.run("--", "/bin/sh", "-c", `trap '(true &); echo got' USR1; trap '' TERM; echo ready; while :; do sleep 0.02; done`)
		if !s.tini {
			r.Args = append([]string{"--stop-timeout=300ms"}, r.Args...)
		}
		r.Path = files.dir + "/" + s.name
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		// cgshim copies its code shortly after the start. Only then take the file away.
		lab.Until(t, "the init to be at rest", func() bool {
			return lab.InCall(r.PID(), unix.SYS_RT_SIGTIMEDWAIT) && (s.tini || copied(r.PID()))
		})
		files.vanish(t)
		before, after := evict(t, r.PID(), files.dir)
		t.Logf("%d kB of the file before, %d after", before, after)
		if s.tini && after >= before {
			t.Errorf("nothing was dropped: %d kB of %d", after, before)
		}
		if err := syscall.Kill(r.PID(), syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if !listening(t, r, "got") {
			return ended(r, r.Wait(t), 0, 0)
		}
		// The shell is one child of the init, and the orphan is the other.
		lab.Until(t, "the orphan to be reaped", func() bool { return children(r.PID()) == 1 || dead(r) })
		if !s.tini {
			return end(t, s, r, syscall.SIGTERM, 137) // by the stop time-out
		}
		_ = syscall.Kill(r.Child(t), syscall.SIGKILL)
		lab.Until(t, "the end", func() bool { return dead(r) })
		return ended(r, r.Wait(t), 137, -1)
	})
}

// The file system of the init's own image hangs as soon as the program runs. The init must not
// wait for it any more.
func TestImageThatHangs(t *testing.T) {
	both(t, "has its image on a file system that hangs when the program has started", func(t *testing.T, s side) sight {
		files := newImage(t, s.path())
		r := s.run("--", helper, "ready")
		r.Path = files.dir + "/" + s.name
		if !startAndHang(t, r, files) {
			return ended(r, r.Wait(t), 0, 0)
		}
		settle(t, s, r)
		return end(t, s, r, syscall.SIGTERM, 42)
	})
}

// The same, and the program hangs in an execve on that file system.
func TestImageAndExecveThatHang(t *testing.T) {
	both(t, "likewise, and the program hangs there in execve", func(t *testing.T, s side) sight {
		files := newImage(t, s.path(), helper)
		r := s.run("--", "/bin/sh", "-c", `echo ready; read -r go; exec "$0" ready`, files.dir+"/starved")
		r.Path = files.dir + "/" + s.name
		if !startAndHang(t, r, files) {
			return ended(r, r.Wait(t), 0, 0)
		}
		lab.Until(t, "the execve", func() bool { return lab.InCall(r.Child(t), unix.SYS_EXECVE) })
		settle(t, s, r)
		return end(t, s, r, syscall.SIGTERM, 143)
	})
}

// A script without #! is read by /bin/sh. After it has failed, the init would look into it for a
// reason, but its file system hangs.
func TestScriptThatHangsAtTheEnd(t *testing.T) {
	both(t, "has a script without #! that fails on a file system that hangs by then", func(t *testing.T, s side) sight {
		script := t.TempDir() + "/script"
		if err := os.WriteFile(script, []byte("echo ready; read -r go; exit 3\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		files := newImage(t, script)
		r := s.run("--", files.dir+"/script")
		if !startAndHang(t, r, files) {
			return ended(r, r.Wait(t), 0, 0)
		}
		began := time.Now()
		if !within(s.patience(), func() bool { return dead(r) }) {
			return sight{false, "does not end"}
		}
		took := time.Since(began)
		return ended(r, r.Wait(t), 3, took)
	})
}

// startAndHang starts an init. When the program is ready, it makes the file system hang, and
// then gives the program a line to read. It reports whether the program has been ready.
func startAndHang(t *testing.T, r *lab.Run, files *image) bool {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		read.Close()
		write.Close()
	})
	r.Stdin = read
	r.Start(t)
	if !listening(t, r, "ready") {
		return false
	}
	files.hang(t)
	if _, err := write.WriteString("go\n"); err != nil {
		t.Fatal(err)
	}
	return true
}

// settle waits until cgshim has copied its code, which it does shortly after the start.
func settle(t *testing.T, s side, r *lab.Run) {
	t.Helper()
	if !s.tini {
		lab.Until(t, "the copy of the code", func() bool { return copied(r.PID()) })
	}
}

// copied reports whether a process has code in memory of its own.
func copied(pid int) bool {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) == 5 && fields[1] == "r-xp" { // without a name
			return true
		}
	}
	return false
}

// The execve of the program hangs in a file system that does not answer. The init must still
// take TERM and pass it on.
func TestExecveThatHangs(t *testing.T) {
	both(t, "has its program on a file system that hangs in execve", func(t *testing.T, s side) sight {
		r, _ := hanging(t, s.run())
		return end(t, s, r, syscall.SIGTERM, 143)
	})
}

// The init is started with TERM ignored, which its child inherits. So TERM does not end the
// hanging child, and the init must kill it at the stop time-out.
func TestExecveThatHangsAtTheStopTimeout(t *testing.T) {
	both(t, "likewise, with TERM ignored and `--stop-timeout=200ms`", func(t *testing.T, s side) sight {
		if s.tini {
			return hasNot
		}
		r, _ := hanging(t, s.run("--stop-timeout=200ms"), "/bin/sh", "-c", `trap "" TERM; exec "$0" "$@"`)
		return end(t, s, r, syscall.SIGTERM, 137)
	})
}

// hanging starts an init and waits until its child is in an execve that does not return.
func hanging(t *testing.T, r *lab.Run, launcher ...string) (*lab.Run, *image) {
	t.Helper()
	files := newImage(t, helper)
	files.hang(t)
	r.Args = append(r.Args, "--", files.dir+"/starved", "ready")
	if launcher != nil {
		r.Args = append(append(launcher[1:], r.Path), r.Args...)
		r.Path = launcher[0]
	}
	r.Start(t)
	// Until its execve returns, the child has the binary of the init.
	lab.Until(t, "the execve", func() bool {
		for _, pid := range childrenOf(r.PID()) {
			if lab.InCall(pid, unix.SYS_EXECVE) {
				return true
			}
		}
		return false
	})
	return r, files
}

// No process reads from the terminal that is the init's stderr, and the program has filled it.
// The init has a line to log for the orphan, which must not block it.
func TestTerminalWithoutAReader(t *testing.T) {
	both(t, "has a terminal without a reader as stderr, and `-w`", func(t *testing.T, s side) sight {
		master, slave, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		defer slave.Close()
		r := s.run("-w", "--", helper, "fill")
		r.ErrorTo = slave
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		lab.Until(t, "the orphan to be reaped, of which there is a line", func() bool { return children(r.PID()) == 1 })
		return end(t, s, r, syscall.SIGTERM, 42)
	})
}

// The init and the program write to the same pipe. The program can fill the pipe after the
// init has seen room and before the init writes. The init must not block then.
func TestPipeThatIsFlooded(t *testing.T) {
	both(t, "floods a pipe that is the init's stderr too, whose reader is slow and then stops", func(t *testing.T, s side) sight {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer read.Close()
		defer write.Close()
		r := s.run("-vvv", "-w", "--", helper, "flood")
		r.ErrorTo = write
		r.Start(t)
		if !listening(t, r, "ready") {
			return ended(r, r.Wait(t), 0, 0)
		}
		buf := make([]byte, 512)
		for range 3000 {
			if _, err := read.Read(buf); err != nil {
				t.Fatal(err)
			}
			_ = syscall.Kill(r.PID(), syscall.SIGWINCH) // for each the init logs a line
		}
		return end(t, s, r, syscall.SIGTERM, 42)
	})
}

// An image may have nothing but the init and the program. The init must run there, with the
// descriptors 0 to 2 closed.
func TestNothingButTheProgram(t *testing.T) {
	both(t, "starts with descriptors 0 to 2 closed, no /dev and no /proc", func(t *testing.T, s side) sight {
		root := t.TempDir()
		if err := install(root, s.path(), helper); err != nil {
			t.Fatal(err)
		}
		r := s.run("--", "/starved", "exit", "7")
		r.Path = "/" + s.name
		r.Args = append([]string{"closed", r.Path}, r.Args...)
		r.Path = "/starved"
		r.Attr.Chroot = root
		return ended(r, r.Do(t), 7, -1)
	})
}

// qemu-user turns a vfork into a fork, so the child shares no memory with the init. The init
// must still say why a program cannot be executed.
func TestQEMUUser(t *testing.T) {
	lab.Root(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the emulator is for amd64's binary")
	}
	qemu, err := exec.LookPath("qemu-x86_64-static")
	lab.Need(t, err == nil, "qemu-x86_64-static")
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/plain", []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, program, reason string
		status                int
	}{
		{"runs under qemu-user; the program is not there", dir + "/none", "o such file or directory", 127},
		{"runs under qemu-user; the program is not executable", dir + "/plain", "ermission denied", 126},
	} {
		both(t, c.what, func(t *testing.T, s side) sight {
			r := s.run("--", c.program)
			r.Args = append([]string{r.Path}, r.Args...)
			r.Path = qemu
			status := r.Do(t)
			said := strings.TrimSpace(r.Stderr.String())
			if status == c.status && strings.Contains(said, c.reason) {
				return sight{true, fmt.Sprintf("%d, with the reason", status)}
			}
			return sight{false, fmt.Sprintf("%d, %q", status, said)}
		})
	}
	both(t, "runs under qemu-user; the program runs", func(t *testing.T, s side) sight {
		r := s.run("--", helper, "ready")
		r.Args = append([]string{r.Path}, r.Args...)
		r.Path = qemu
		return startAndEnd(t, s, r)
	})
}
