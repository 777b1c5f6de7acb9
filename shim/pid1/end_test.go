package pid1

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// Wait statuses in the kernel's encoding (wait(2), include/linux/wait.h).
func exited(code int) uint32   { return uint32(code) << 8 }
func killed(sig Signal) uint32 { return uint32(sig) }

func TestExpect(t *testing.T) {
	l := newLife()
	l.orders.ExpectExit[143], l.orders.ExpectExit[0] = true, true
	for status := range 256 {
		want := status
		if status == 143 {
			want = 0
		}
		if got := l.expect(status); got != want {
			t.Errorf("%d becomes %d", status, got)
		}
	}
}

func endLines() map[LineID]string {
	lines := map[LineID]string{}
	for id, name := range map[LineID]string{LineExited: "exited", LineSignaled: "signaled", LineAbnormal: "abnormal"} {
		lines[id] = name + " pid=" + SlotPID.Mark() + " status=" + SlotStatus.Mark() + " signal=" + SlotSignal.Mark() + " core=" + SlotCore.Mark() + "\n"
	}
	lines[LineNotExecuted] = "not executed pid=" + SlotPID.Mark() + " " + SlotErrno.Mark() + "\n"
	lines[LineNoTTY] = "no tty pid=" + SlotPID.Mark() + "\n"
	lines[LineLeft], lines[LineNone], lines[LineLeave], lines[LineChild] = "left\n", "none\n", "leave\n", "child\n"
	return lines
}

// tini is told apart by its own lines. Under another name most of these are not set.
func TestReport(t *testing.T) {
	for _, c := range []struct {
		name   string
		tini   bool
		exit   uint32
		life   func(*life)
		status int
		want   string
	}{
		{name: "an exit with 0", exit: exited(0), want: "exited pid=7 status=0 signal= core=false\n"},
		{name: "an exit with 255", exit: exited(255), status: 255, want: "exited pid=7 status=255 signal= core=false\n"},
		{name: "an expected status is 0 in the line too", exit: exited(3), want: "exited pid=7 status=0 signal= core=false\n"},
		{name: "tini's line has the status before that", tini: true, exit: exited(3), want: "exited pid=7 status=3 signal= core=false\nnone\nleave\n"},
		{
			name: "a signal that was forwarded is no surprise", exit: killed(unix.SIGTERM), status: 143,
			life: func(l *life) { l.sent = SetOf(unix.SIGTERM) }, want: "signaled pid=7 status=143 signal=SIGTERM core=false\n",
		},
		{
			name: "one that was not is", exit: killed(unix.SIGTERM), status: 143,
			life: func(l *life) { l.sent = SetOf(unix.SIGINT) }, want: "abnormal pid=7 status=143 signal=SIGTERM core=false\n",
		},
		{name: "a dumped core is said", exit: killed(unix.SIGSEGV) | 0x80, status: 139, want: "abnormal pid=7 status=139 signal=SIGSEGV core=true\n"},
		{name: "tini says what is left", tini: true, exit: exited(0), life: func(l *life) { l.orphans = true }, want: "exited pid=7 status=0 signal= core=false\nleft\nleave\n"},
		{
			name: "a program that could not be killed has not ended", exit: killed(unix.SIGKILL), status: 137,
			life: func(l *life) { l.abandoned = true },
		},
		{
			name: "tini's child has said that it could not be executed", tini: true, exit: exited(127), status: 127,
			life: func(l *life) { l.orders.Outcome.ExecErrno = uint32(unix.ENOENT) },
			want: "not executed pid=7 no such file or directory\nexited pid=7 status=127 signal= core=false\nnone\nleave\n",
		},
		{
			name: "it first says that it has no terminal", tini: true, exit: exited(127), status: 126,
			life: func(l *life) { l.orders.Outcome.ExecErrno, l.terminal.noTTY = uint32(unix.EACCES), true },
			want: "no tty pid=7\nnot executed pid=7 permission denied\nexited pid=7 status=126 signal= core=false\nnone\nleave\n",
		},
		{
			name: "it says so once", tini: true, exit: exited(127), status: 127,
			life: func(l *life) { l.orders.Outcome.ExecErrno = uint32(unix.ENOENT); l.tellExec(); l.page.n = 0 },
			want: "exited pid=7 status=127 signal= core=false\nnone\nleave\n",
		},
		{
			name: "and the init exits with 1 for any other reason", tini: true, exit: exited(127), status: 1,
			life: func(l *life) { l.orders.Outcome.ExecErrno = uint32(unix.EPERM) },
			want: "not executed pid=7 operation not permitted\nexited pid=7 status=1 signal= core=false\nnone\nleave\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife()
			lines := endLines()
			if !c.tini {
				delete(lines, LineLeft)
				delete(lines, LineNone)
				delete(lines, LineLeave)
			}
			l.setLines(lines)
			l.child, l.exit, l.ended, l.orders.Tini = 7, reaper.Exit{PID: 7, Status: c.exit}, true, c.tini
			l.orders.ExpectExit[3] = true
			if c.life != nil {
				c.life(l)
			}
			if status := l.report(); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			if got := l.said(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			if o := l.orders.Outcome; o.PID != 7 || o.Status != c.exit || !o.Ended {
				t.Errorf("the helper would be told %+v", o)
			}
		})
	}
}

// With -w tini warns of a zombie, and not of the program.
func TestCollected(t *testing.T) {
	const helperPID = 12
	lines := map[LineID]string{
		LineReaped: "reaped " + SlotPID.Mark() + "\n", LineZombie: "zombie " + SlotPID.Mark() + "\n", LineMain: "main " + SlotPID.Mark() + "\n", LineChild: "child\n",
	}
	for _, c := range []struct {
		name  string
		pid   int
		early bool
		want  string
		ended bool
	}{
		{"an orphan", 9, false, "reaped 9\nzombie 9\n", false},
		{"the program", 7, false, "main 7\n", true},
		{"the program before its SIGCHLD was handled", 7, true, "child\nmain 7\n", true},
		{"a helper is no orphan", helperPID, false, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife()
			l.setLines(lines)
			l.child, l.early, l.helper = 7, c.early, helper{pid: helperPID, left: countdownOf(time.Second)}
			l.collected(reaper.Exit{PID: c.pid, Status: exited(3)})
			if got := l.said(); got != c.want || l.ended != c.ended {
				t.Errorf("ended %v, %q", l.ended, got)
			}
			if (l.helper.pid == 0) != (c.pid == helperPID) || l.helper.left.running != (c.pid != helperPID) {
				t.Errorf("the helper is %+v", l.helper)
			}
		})
	}
	t.Run("the PID of a program that has ended may come again", func(t *testing.T) {
		l := newLife()
		l.setLines(lines)
		l.child, l.ended, l.exit = 7, true, reaper.Exit{PID: 7, Status: exited(3)}
		l.collected(reaper.Exit{PID: 7, Status: exited(9)})
		if got := l.said(); got != "reaped 7\nzombie 7\n" || l.exit.Code() != 3 {
			t.Errorf("code %d, %q", l.exit.Code(), got)
		}
	})
}

// A helper that failed, or that could not copy everything, is followed by another.
func TestResized(t *testing.T) {
	for _, c := range []struct {
		name  string
		again bool
		exit  uint32
		want  bool
	}{
		{"all is copied", false, exited(0), false},
		{"something could not be copied", true, exited(0), true},
		{"the helper was killed", false, killed(unix.SIGKILL), true},
		{"the helper failed", false, exited(2), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife()
			l.pause, l.orders.Again = time.Second, c.again
			l.resized(reaper.Exit{PID: 9, Status: c.exit})
			if l.copying.running != c.want || (l.pause == 0) == c.want {
				t.Errorf("copies again: %v, pause %v", l.copying.running, l.pause)
			}
		})
	}
}

func forwardLines() map[LineID]string {
	signals := " signal=" + SlotSignal.Mark() + " received=" + SlotReceived.Mark() + " from=" + SlotFromPID.Mark() + "/" + SlotFromUID.Mark()
	return map[LineID]string{
		LineForward: "forward" + signals + "\n", LineDrop: "drop received=" + SlotReceived.Mark() + "\n",
		LineFailed: "gone " + SlotErrno.Mark() + "\n", LineUnsent: "unsent " + SlotErrno.Mark() + "\n", LineLate: "late\n",
	}
}

// sleeper starts a program that only a signal ends.
func sleeper(t *testing.T, group bool) (pid int, ended func() syscall.WaitStatus) {
	t.Helper()
	cmd := exec.Command("sleep", "1000") // a Go program would handle most signals
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: group, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd.Process.Pid, func() syscall.WaitStatus {
		_ = cmd.Wait()
		return cmd.ProcessState.Sys().(syscall.WaitStatus)
	}
}

func TestForward(t *testing.T) {
	const from = "/65534\n"
	for _, c := range []struct {
		name     string
		received Signal
		rewrite  Signal
		group    bool // -g
		apart    bool // the program is in a group of its own
		want     string
		ended    Signal
		stopping bool
	}{
		{name: "a signal", received: unix.SIGUSR1, rewrite: unix.SIGUSR1, apart: true, want: "forward signal=SIGUSR1 received=SIGUSR1 from=17" + from, ended: unix.SIGUSR1},
		{name: "a rewritten one", received: unix.SIGHUP, rewrite: unix.SIGUSR2, apart: true, want: "forward signal=SIGUSR2 received=SIGHUP from=17" + from, ended: unix.SIGUSR2},
		{name: "one that is dropped", received: unix.SIGHUP, apart: true, want: "drop received=SIGHUP\n"},
		{name: "a stop signal starts the time to stop", received: unix.SIGTERM, rewrite: unix.SIGTERM, apart: true, want: "forward signal=SIGTERM received=SIGTERM from=17" + from, ended: unix.SIGTERM, stopping: true},
		{name: "so does one that becomes another", received: unix.SIGTERM, rewrite: unix.SIGUSR1, apart: true, want: "forward signal=SIGUSR1 received=SIGTERM from=17" + from, ended: unix.SIGUSR1, stopping: true},
		{name: "and one that another becomes", received: unix.SIGUSR1, rewrite: unix.SIGTERM, apart: true, want: "forward signal=SIGTERM received=SIGUSR1 from=17" + from, ended: unix.SIGTERM, stopping: true},
		{name: "-g sends it to the group", received: unix.SIGUSR1, rewrite: unix.SIGUSR1, group: true, apart: true, want: "forward signal=SIGUSR1 received=SIGUSR1 from=17" + from, ended: unix.SIGUSR1},
		{name: "-g reaches a program that has left its group", received: unix.SIGUSR1, rewrite: unix.SIGUSR1, group: true, want: "forward signal=SIGUSR1 received=SIGUSR1 from=17" + from, ended: unix.SIGUSR1},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLife()
			l.setLines(forwardLines())
			pid, ended := sleeper(t, c.apart)
			l.child, l.orders.KillGroup, l.orders.StopSignals, l.orders.StopTimeout = pid, c.group, DefaultStopSignals, time.Minute
			l.orders.Rewrite[c.received] = uint8(c.rewrite)
			l.info.pid, l.info.uid = 17, 65534
			l.forward(c.received)
			if got := l.said(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if l.stopping.running != c.stopping {
				t.Errorf("the time to stop runs: %v", l.stopping.running)
			}
			if l.sent != SetOf(c.rewrite) && c.rewrite != 0 || c.rewrite == 0 && l.sent != 0 {
				t.Errorf("sent %#x", l.sent)
			}
			if c.ended == 0 {
				return
			}
			if got := ended(); got.Signal() != c.ended {
				t.Errorf("the program ended by %v", got)
			}
		})
	}
	t.Run("a program that is gone", func(t *testing.T) {
		l := newLife()
		l.setLines(forwardLines())
		pid, ended := sleeper(t, false)
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		ended()
		l.child, l.orders.Rewrite[unix.SIGUSR1] = pid, uint8(unix.SIGUSR1)
		l.orders.SetErrno(unix.ESRCH, "no such process")
		if l.forward(unix.SIGUSR1); !strings.HasSuffix(l.said(), "\ngone no such process\n") {
			t.Errorf("%q", l.said())
		}
	})
	t.Run("without a stop time-out none runs", func(t *testing.T) {
		l := newLife()
		pid, _ := sleeper(t, false)
		l.child, l.orders.Rewrite[unix.SIGTERM], l.orders.StopSignals = pid, uint8(unix.SIGTERM), DefaultStopSignals
		if l.forward(unix.SIGTERM); l.stopping.running {
			t.Error("it runs")
		}
	})
	t.Run("a second stop signal does not put the end off", func(t *testing.T) {
		l := newLife()
		l.orders.StopTimeout = time.Minute
		l.startStopping()
		l.stopping.left = time.Second
		if l.startStopping(); l.stopping.left > time.Second {
			t.Errorf("%v left", l.stopping.left)
		}
	})
}

func TestKillProgram(t *testing.T) {
	for _, group := range []bool{false, true} {
		t.Run(fmt.Sprintf("with -g: %v", group), func(t *testing.T) {
			l := newLife()
			l.setLines(forwardLines())
			pid, ended := sleeper(t, true)
			l.child, l.orders.KillGroup, l.stopping = pid, group, countdownOf(0)
			if l.killProgram(); l.said() != "late\n" || l.stopping.running || l.ended {
				t.Errorf("%+v", l.stopping)
			}
			if got := ended(); got.Signal() != unix.SIGKILL {
				t.Errorf("it ended by %v", got)
			}
		})
	}
}

func TestStopPending(t *testing.T) {
	for _, c := range []struct {
		pending Set
		want    bool
	}{{0, false}, {SetOf(unix.SIGTERM), true}, {SetOf(unix.SIGHUP, unix.SIGCHLD), false}, {SetOf(unix.SIGHUP, unix.SIGINT), true}} {
		l := newLife()
		l.host, l.orders.StopSignals = noSource{pending: c.pending}, DefaultStopSignals
		if got := l.stopPending(); got != c.want {
			t.Errorf("%#x: %v", c.pending, got)
		}
	}
}
