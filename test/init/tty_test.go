package init

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// terminal is a program on a terminal of its own, with a user who types.
type terminal struct {
	t      *testing.T
	pty    *os.File
	cmd    *exec.Cmd
	screen lab.Buffer
	seen   int
}

func atTerminal(t *testing.T, flags uintptr, args ...string) *terminal {
	t.Helper()
	lab.Root(t)
	x := &terminal{t: t, cmd: exec.Command(args[0], args[1:]...)}
	x.cmd.Env = []string{"PATH=/usr/bin:/bin", "PS1=prompt> ", "TERM=dumb", "HOME=/nonexistent"}
	var err error
	x.pty, err = pty.StartWithAttrs(x.cmd, &pty.Winsize{Rows: 24, Cols: 200}, &syscall.SysProcAttr{
		Setsid: true, Setctty: true, Cloneflags: flags, Pdeathsig: syscall.SIGKILL,
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := x.pty.Read(buf)
			_, _ = x.screen.Write(buf[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = x.cmd.Process.Kill()
		_, _ = x.cmd.Process.Wait()
		_ = x.pty.Close()
	})
	return x
}

func (x *terminal) types(s string) {
	x.t.Helper()
	if _, err := x.pty.WriteString(s); err != nil {
		x.t.Fatal(err)
	}
}

// reads waits until s appears in the output after the part that was read already.
func (x *terminal) reads(s string) {
	x.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if at := strings.Index(x.screen.String()[x.seen:], s); at >= 0 {
			x.seen += at + len(s)
			return
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("waited in vain for %q after %d bytes of\n%s", s, x.seen, x.screen.String())
		}
	}
}

// foreground returns the process group that has the terminal. Fd would make the
// terminal's file blocking, and Close would then wait for the reader.
func (x *terminal) foreground() (group int) {
	conn, err := x.pty.SyscallConn()
	if err == nil {
		_ = conn.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
	}
	if err != nil {
		x.t.Fatal(err)
	}
	return group
}

// waitsFor waits until the program called name has the terminal and runs, and the shell
// above it waits for its job. A job that stops before its shell waits never becomes the
// shell's current job, and fg does not find it.
func (x *terminal) waitsFor(name string) {
	x.t.Helper()
	lab.Until(x.t, "the shell to wait for "+name, func() bool {
		pid := x.foreground()
		if lab.Status(pid, "Name") != name || !strings.HasPrefix(lab.Status(pid, "State"), "S") {
			return false
		}
		for pid != 0 && lab.Status(pid, "Name") != "bash" {
			pid, _ = strconv.Atoi(lab.Status(pid, "PPid"))
		}
		return lab.InCall(pid, unix.SYS_WAIT4)
	})
}

// ends waits until the program at the terminal ends, and compares the status.
func (x *terminal) ends(status int) {
	x.t.Helper()
	if err := x.cmd.Wait(); x.cmd.ProcessState.ExitCode() != status {
		x.t.Errorf("%v\n%s", err, x.screen.String())
	}
}

// An interactive shell as the child of PID 1, as with docker run -it.
func TestShellUnderPID1HasJobControl(t *testing.T) {
	x := atTerminal(t, syscall.CLONE_NEWPID, lab.Cgshim(t), "--cgroup=off", "--", "bash", "--norc", "-i")
	x.reads("prompt> ")
	if strings.Contains(x.screen.String(), "no job control") {
		t.Error(x.screen.String())
	}
	x.types("sleep 1000\n")
	x.reads("sleep 1000")
	x.waitsFor("sleep")
	x.types("\x1a") // ^Z
	x.reads("Stopped")
	x.reads("prompt> ")
	x.types("fg\n")
	x.reads("fg")
	x.reads("sleep 1000")
	x.waitsFor("sleep")
	x.types("\x03") // ^C
	x.reads("prompt> ")
	x.types("echo status=$?.\n")
	x.reads("status=130.")
	x.types("exit 5\n")
	x.ends(5)
}

func TestWindowSizeReachesTheChild(t *testing.T) {
	x := atTerminal(t, syscall.CLONE_NEWPID, lab.Cgshim(t), "--cgroup=off", "--", "sh", "-c",
		"trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.02; done")
	x.reads("ready")
	if err := pty.Setsize(x.pty, &pty.Winsize{Rows: 33, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	x.reads("33 120")
	x.ends(4)
}

// cgshim is a job of an interactive shell. ^Z stops the job and the shell notices, fg
// resumes the job, and ^C ends it.
func TestJobOfAShell(t *testing.T) {
	x := atTerminal(t, 0, "bash", "--norc", "-i")
	x.reads("prompt> ")
	x.types(lab.Cgshim(t) + " -- sh -c 'echo started; exec sleep 1000'\n")
	x.reads("\nstarted")
	x.waitsFor("sleep")
	x.types("\x1a")
	x.reads("Stopped")
	x.reads("prompt> ")
	x.types("echo al''ive\n")
	x.reads("\nalive")
	x.reads("prompt> ")
	x.types("fg\n")
	x.reads("fg")
	x.reads("sleep 1000")
	x.waitsFor("sleep")
	x.types("\x1a")
	x.reads("Stopped")
	x.reads("prompt> ")
	x.types("fg\n")
	x.reads("fg")
	x.reads("sleep 1000")
	x.waitsFor("sleep")
	x.types("\x03")
	x.reads("prompt> ")
	x.types("echo status=$?.\n")
	x.reads("status=130.")
	x.types("exit 6\n")
	x.ends(6)
}

// cgshim is started in the background and leaves the terminal to the shell. When the
// job comes to the foreground, its child can read.
func TestBackgroundStartDoesNotStealTheTerminal(t *testing.T) {
	x := atTerminal(t, 0, "bash", "--norc", "-i")
	x.reads("prompt> ")
	x.types(lab.Cgshim(t) + " -- sh -c 'echo st''arted; read x; echo got=$x.' &\n")
	x.reads("started")
	x.types("echo al''ive\n")
	x.reads("\nalive")
	x.reads("prompt> ")
	x.types("fg\n")
	x.reads("fg")
	x.reads("got=$x") // the shell prints the command after it has handed over the terminal
	x.types("word\n")
	x.reads("got=word.")
	x.types("exit 7\n")
	x.ends(7)
}

// A script that goes on after an init gets the terminal back.
func TestScriptReadsAfterTheInit(t *testing.T) {
	x := atTerminal(t, 0, "bash", "--norc", "-i")
	x.reads("prompt> ")
	x.types("sh -c '" + lab.Cgshim(t) + " -- sh -c \"read x; echo first=\\$x.\"; read y; echo second=$y.'\n")
	x.types("a\n")
	x.reads("first=a.")
	x.types("b\n")
	x.reads("second=b.")
	x.types("exit 8\n")
	x.ends(8)
}

// The init also gives the terminal back if the program could not be started.
func TestScriptReadsAfterAProgramThatIsNotThere(t *testing.T) {
	x := atTerminal(t, 0, "bash", "--norc", "-i")
	x.reads("prompt> ")
	x.types("sh -c '" + lab.Cgshim(t) + " -- no-such-program; read y; echo second=$y.'\n")
	x.reads("cannot execute")
	x.types("b\n")
	x.reads("second=b.")
	x.types("exit 8\n")
	x.ends(8)
}

// With another standard input, cgshim leaves the terminal to the script that started
// it.
func TestScriptReadsBesideAnInitWithoutTheTerminal(t *testing.T) {
	x := atTerminal(t, 0, "bash", "--norc", "-i")
	x.reads("prompt> ")
	dir := t.TempDir()
	x.types("sh -c '" + lab.Cgshim(t) + " -- sh -c \"echo >" + dir + "/runs; exec sleep 1000\" & while [ ! -e " + dir + "/runs ]; do sleep 0.01; done; echo re\"\"ady; read y; echo got=$y.; kill $!'\n")
	x.reads("ready")
	x.types("b\n")
	x.reads("got=b.")
	x.types("exit 8\n")
	x.ends(8)
}
