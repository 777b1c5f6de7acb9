package shim

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/process"
)

// openPTY opens a new pseudoterminal (pty(7), pts(4)).
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// session runs a helper as the leader of a new session. The session has this
// controlling terminal on its standard input. session returns the lines that the helper
// prints.
func session(t *testing.T, name string, slave *os.File) []string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperEnv + "=" + name}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if slave != nil {
		cmd.Stdin = slave
		cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, 0
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestOpenTerminal(t *testing.T) {
	wants := func(t *testing.T, got []string, want string) {
		t.Helper()
		if len(got) != 1 || got[0] != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	t.Run("without a terminal there is none", func(t *testing.T) {
		wants(t, session(t, "open", nil), "none true, opened false, foreground false, descriptor -1, job control false")
	})
	t.Run("a session leader has the terminal on its standard input, and is no job", func(t *testing.T) {
		_, slave := openPTY(t)
		wants(t, session(t, "open", slave), "none false, opened false, foreground true, descriptor 0, job control false")
	})
	t.Run("with another standard input /dev/tty is the terminal, and not handed on", func(t *testing.T) {
		_, slave := openPTY(t)
		wants(t, session(t, "open elsewhere", slave), "none false, opened true, foreground true, descriptor -1, job control false")
	})
	t.Run("a shell's job in the foreground", func(t *testing.T) {
		_, slave := openPTY(t)
		wants(t, session(t, "open as job", slave), "none false, opened false, foreground true, descriptor 0, job control true")
	})
	t.Run("a shell's job in the background", func(t *testing.T) {
		_, slave := openPTY(t)
		wants(t, session(t, "open in background", slave), "none false, opened false, foreground false, descriptor -1, job control true")
	})
}

// Three processes play the shell, the shim and the program of a job, each in a group of
// its own.
func TestJobControl(t *testing.T) {
	_, slave := openPTY(t)
	got := session(t, "shell", slave)
	want := []string{
		"shim: in front at the start",
		"shim: the program is in front",
		"shell: the job has stopped, with the shim in front",
		"shim: continued, with the program in front: true",
		"shim: a second SIGCONT is the program's own: false",
		"shim: in front again after the program's read from the background: program",
		"shell: the job has stopped, with the shell in front",
		"shim: continued in the background, where the shell stays in front: true",
		"shim: reclaimed",
		"shell: the job has ended, 0",
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
}

// A SIGCONT of the shell continues the group of a program that has stopped. Any other is
// the program's own.
func TestForwardOfCont(t *testing.T) {
	cmd := again("reader", &syscall.SysProcAttr{Setpgid: true})
	cmd.Stdin = nil
	startReader(t, cmd)
	s, w := newWorld(t, Config{})
	w.verbose = LevelError
	s.prepareLines()
	s.child, s.tty = cmd.Process.Pid, &terminal{fd: -1, stopped: true}
	s.forward(process.Event{Signal: unix.SIGCONT})
	w.wants()
	s.forward(process.Event{Signal: unix.SIGCONT})
	w.wants(fmt.Sprintf("kill %d SIGCONT", s.child))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// inFront returns the foreground process group of standard input.
func inFront() int {
	group, errno := process.ForegroundGroup(0)
	if errno != 0 {
		panic(errno)
	}
	return group
}

func putInFront(group int) {
	if errno := process.SetForegroundGroup(0, group); errno != 0 {
		panic(errno)
	}
}

func again(name string, attr *syscall.SysProcAttr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperEnv + "=" + name}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdin, os.Stdout, os.Stderr, attr
	return cmd
}

func init() {
	helpers["open"] = func() {
		t := openTerminal()
		fmt.Printf("none %v, opened %v, foreground %v, descriptor %d, job control %v\n", t.fd < 0, t.opened, t.foreground, t.descriptor(), t.jobControl())
	}
	helpers["open elsewhere"] = func() {
		must(unix.Close(0))
		_, err := unix.Open("/dev/null", unix.O_RDONLY, 0)
		must(err)
		helpers["open"]()
	}
	helpers["open as job"] = func() { must(again("open", &syscall.SysProcAttr{Foreground: true, Ctty: 0}).Run()) }
	helpers["open in background"] = func() { must(again("open", &syscall.SysProcAttr{Setpgid: true}).Run()) }

	// This process plays an interactive shell. It puts a job in the foreground and
	// follows its stops.
	helpers["shell"] = func() {
		runtime.LockOSThread() // SetForegroundGroup changes the signal mask of the thread
		own := unix.Getpgrp()
		job := again("job", &syscall.SysProcAttr{Foreground: true, Ctty: 0})
		must(job.Start())
		pid := job.Process.Pid
		wait := func() (status unix.WaitStatus) {
			_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
			must(err)
			return status
		}
		if !wait().Stopped() {
			panic("the job has ended")
		}
		fmt.Println("shell: the job has stopped, with", map[int]string{pid: "the shim", own: "the shell"}[inFront()], "in front")
		must(unix.Kill(-pid, unix.SIGCONT)) // fg
		if !wait().Stopped() {
			panic("the job has ended")
		}
		putInFront(own)
		fmt.Println("shell: the job has stopped, with", map[int]string{pid: "the shim", own: "the shell"}[inFront()], "in front")
		must(unix.Kill(-pid, unix.SIGCONT)) // bg
		if !wait().Stopped() {
			panic("the job has ended")
		}
		putInFront(pid)
		must(unix.Kill(-pid, unix.SIGCONT)) // fg
		fmt.Printf("shell: the job has ended, %d\n", wait().ExitStatus())
	}

	helpers["job"] = func() {
		runtime.LockOSThread()
		t := openTerminal()
		if t.own == inFront() {
			fmt.Println("shim: in front at the start")
		}
		// This process plays the program, and lives until the end of its standard
		// input.
		program := again("reader", &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: 0})
		r, w, err := os.Pipe()
		must(err)
		program.ExtraFiles = []*os.File{r}
		program.Env = []string{helperEnv + "=waiter"}
		must(program.Start())
		must(r.Close())
		child := program.Process.Pid
		name := func() string {
			return map[int]string{child: "program", t.own: "shim"}[inFront()]
		}
		fmt.Println("shim: the", name(), "is in front")
		t.stopWith(child, unix.SIGTSTP) // the shim stops here
		fmt.Printf("shim: continued, with the program in front: %v\n", t.resume(child) && name() == "program")
		fmt.Printf("shim: a second SIGCONT is the program's own: %v\n", t.resume(child))
		// The shell has started a job in the background and now puts it in the
		// foreground. The program has stopped at its read, and the shim is in the
		// foreground group.
		putInFront(t.own)
		t.stopWith(child, unix.SIGTTIN)
		fmt.Println("shim: in front again after the program's read from the background:", name())
		t.stopWith(child, unix.SIGTSTP) // the shell takes the terminal
		fmt.Printf("shim: continued in the background, where the shell stays in front: %v\n", t.resume(child) && name() == "")
		must(unix.Kill(os.Getpid(), unix.SIGSTOP)) // until the shell gives the terminal back
		must(w.Close())
		must(program.Wait())
		putInFront(t.own)
		// Put the group of a live child in the foreground, as if it were the program's.
		other := again("waiter", &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: 0})
		r, w, err = os.Pipe()
		must(err)
		other.ExtraFiles = []*os.File{r}
		must(other.Start())
		must(r.Close())
		if t.reclaim(other.Process.Pid); inFront() == t.own {
			fmt.Println("shim: reclaimed")
		}
		must(w.Close())
		must(other.Wait())
	}
	helpers["waiter"] = func() { _, _ = os.NewFile(3, "pipe").Read(make([]byte, 1)) }
}
