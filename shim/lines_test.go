package shim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// say returns the output of a Line for this rendered text.
func say(t *testing.T, rendered string, v values) string {
	t.Helper()
	var got []byte
	writes := 0
	NewLine([]byte(rendered), func(line []byte) { got, writes = bytes.Clone(line), writes+1 }).say(&v)
	if writes != 1 {
		t.Fatalf("%d writes of %q", writes, rendered)
	}
	return string(got)
}

var someValues = values{
	pid: 4194304, fromPID: 17, fromUID: 65534, status: 137, signal: unix.SIGKILL, received: 37,
	elapsed: 90*time.Second + 5*time.Millisecond, errno: unix.EPERM, kills: 1 << 63, core: true,
}

func TestLineFillsEverySlot(t *testing.T) {
	for slot, want := range map[Slot]string{
		SlotPID: "4194304", SlotSignal: "SIGKILL", SlotSignalText: "Killed", SlotReceived: "SIGRTMIN+3", SlotFromPID: "17", SlotFromUID: "65534",
		SlotStatus: "137", SlotElapsed: "90.005s", SlotErrno: "operation not permitted", SlotKills: "9223372036854775808", SlotCore: "true",
	} {
		for _, mark := range []string{slot.Text(), fmt.Sprint(slot.Number())} {
			for _, around := range [][2]string{{"", "\n"}, {"a ", " b\n"}, {`{"k":`, "}\n"}, {mark, mark + "\n"}} {
				rendered := around[0] + mark + around[1]
				if got := say(t, rendered, someValues); got != strings.ReplaceAll(rendered, mark, want) {
					t.Errorf("slot %d: %q", slot, got)
				}
			}
		}
	}
	t.Run("the time is now, as zap's RFC3339Nano encoder writes it", func(t *testing.T) {
		before := time.Now().Round(0)
		at, err := time.Parse(time.RFC3339Nano, strings.TrimSuffix(say(t, SlotTime.Text()+"\n", values{}), "\n"))
		if after := time.Now(); err != nil || at.Before(before) || at.After(after) {
			t.Errorf("%v, %v, not within %v to %v", at, err, before, after)
		}
	})
	t.Run("no mark is the beginning of another", func(t *testing.T) {
		for a := range numSlots {
			for b := range numSlots {
				if a != b && (strings.Contains(a.Text(), b.Text()) || strings.Contains(fmt.Sprint(a.Number()), fmt.Sprint(b.Number()))) {
					t.Errorf("slots %d and %d", a, b)
				}
			}
		}
	})
}

func TestLineAsJSON(t *testing.T) {
	template := "{"
	for slot := range numSlots {
		if slot > 0 {
			template += ","
		}
		if slot.IsNumber() {
			template += fmt.Sprintf(`"%d":%d`, slot, slot.Number())
		} else {
			template += fmt.Sprintf(`"%d":"%s"`, slot, slot.Text())
		}
	}
	template += "}\n"
	check := func(t *testing.T, v values) {
		t.Helper()
		var decoded map[string]any
		line := say(t, template, v)
		if err := json.Unmarshal([]byte(line), &decoded); err != nil || len(decoded) != int(numSlots) {
			t.Errorf("%v in %q", err, line)
		}
		for slot := range numSlots {
			_, isString := decoded[fmt.Sprint(int(slot))].(string)
			if isString == slot.IsNumber() {
				t.Errorf("slot %d is %v", slot, decoded[fmt.Sprint(int(slot))])
			}
		}
	}
	t.Run("every signal and every errno", func(t *testing.T) {
		for sig := range process.Signal(process.NumSignals) {
			v := someValues
			v.signal, v.received, v.errno = sig, sig, syscall.Errno(sig)
			check(t, v)
		}
		for errno := range syscall.Errno(140) {
			v := someValues
			v.errno = errno
			check(t, v)
		}
	})
}

func TestNoValueIsLongerThanItsRoom(t *testing.T) {
	longest := values{pid: math.MinInt, fromPID: math.MinInt, fromUID: math.MinInt, status: math.MinInt, elapsed: math.MinInt64, kills: 1<<64 - 1}
	for sig := range process.Signal(process.NumSignals) {
		for errno := range syscall.Errno(140) {
			longest.signal, longest.received, longest.errno = sig, sig, errno
			for slot := range numSlots {
				if value := appendSlot(nil, slot, &longest); len(value) >= slotRoom {
					t.Fatalf("slot %d: %q", slot, value)
				}
			}
			if sig > 1 {
				break
			}
		}
	}
}

func TestLongLinesAreCut(t *testing.T) {
	most := len(lineBuffer)
	for _, c := range []struct{ name, rendered string }{
		{"a long message", strings.Repeat("x", 3*most) + "\n"},
		{"a long message without an end", strings.Repeat("x", 3*most)},
		{"a long message before a slot", strings.Repeat("x", 2*most) + SlotErrno.Text() + "\n"},
		{"a slot before a long message", SlotPID.Text() + strings.Repeat("x", 2*most) + "\n"},
		{"a slot where the room ends", strings.Repeat("x", most-slotRoom) + SlotErrno.Text() + strings.Repeat("y", most) + "\n"},
		{"many slots", strings.Repeat(SlotErrno.Text(), most) + "\n"},
		{"many slots and words", strings.Repeat(SlotErrno.Text()+strings.Repeat("x", 100), 1000) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := say(t, c.rendered, someValues)
			if len(line) > most || len(line) < most/2 || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") {
				t.Errorf("%d bytes, ends with %q", len(line), line[len(line)-10:])
			}
		})
	}
	t.Run("a line that just fits is whole", func(t *testing.T) {
		rendered := strings.Repeat("x", most-slotRoom-1) + "\n"
		if line := say(t, rendered, someValues); line != rendered {
			t.Errorf("%d of %d bytes", len(line), len(rendered))
		}
	})
	t.Run("an empty line is a line", func(t *testing.T) {
		if line := say(t, "", someValues); line != "\n" {
			t.Errorf("%q", line)
		}
	})
	t.Run("a line that is not shown is not written", func(*testing.T) {
		var none *Line
		none.say(&values{})
		none.say(nil)
	})
}

// An init has to write these lines without allocating memory (docs/adr/0007-alone.md).
func TestLinesAllocateNothing(t *testing.T) {
	needNative(t)
	n := 0
	everything := ""
	for slot := range numSlots {
		everything += slot.Text() + " " + fmt.Sprint(slot.Number()) + " "
	}
	l := NewLine([]byte(everything+"\n"), func(line []byte) { n += len(line) })
	v := someValues
	for errno := range syscall.Errno(140) {
		if strings.HasPrefix(errno.Error(), "errno ") {
			continue // no system call returns this errno
		}
		v.errno = errno
		if allocations := testing.AllocsPerRun(10, func() { l.say(&v) }); allocations != 0 {
			t.Errorf("%v allocations with errno %d", allocations, errno)
		}
	}
	v.errno = unix.EPERM
	for _, personality := range []bool{false, true} {
		s, _ := newWorld(t, Config{Tini: personality})
		s.log = countingLog{&n}
		s.prepareLines()
		for i, line := range s.lines.all() {
			if allocations := testing.AllocsPerRun(10, func() { line.say(&v) }); allocations != 0 {
				t.Errorf("%v allocations in line %d", allocations, i)
			}
		}
	}
	if n == 0 {
		t.Error("nothing was written")
	}
}

func (l *lines) all() []*Line {
	return []*Line{
		l.spawned, l.chld, l.forward, l.drop, l.failed, l.unsent, l.reaped, l.zombie, l.left, l.none, l.main, l.late, l.refused, l.abandoned, l.detach, l.drain, l.rest, l.noKill,
		l.exited, l.exitedOOM, l.signaled, l.abnormal, l.signaledOOM, l.leave, l.notExecuted, l.viaShell, l.noTTY,
	}
}

// The texts of tini 0.19 from its src/tini.c, with the levels of its PRINT_ macros.
func TestTinisLines(t *testing.T) {
	s, w := newWorld(t, Config{Tini: true, Args: []string{"/bin/program", "x"}})
	v := values{pid: 12, signal: unix.SIGUSR1, status: 3, errno: unix.EPERM}
	for _, c := range []struct {
		line *Line
		want string
	}{
		{s.lines.spawned, "info Spawned child process '/bin/program' with pid '12'"},
		{s.lines.chld, "debug Received SIGCHLD"},
		{s.lines.forward, "debug Passing signal: 'User defined signal 1'"},
		{s.lines.failed, "warn Child was dead when forwarding signal"},
		{s.lines.unsent, "warn Unexpected error when forwarding signal: 'Operation not permitted'"},
		{s.lines.left, "trace No child to reap"},
		{s.lines.none, "trace No child to wait"},
		{s.lines.reaped, "debug Reaped child with pid: '12'"},
		{s.lines.main, "debug Reaped child with pid: '12'"},
		{s.lines.exited, "info Main child exited normally (with status '3')"},
		{s.lines.exitedOOM, "info Main child exited normally (with status '3')"},
		{s.lines.signaled, "info Main child exited with signal (with signal 'User defined signal 1')"},
		{s.lines.abnormal, "info Main child exited with signal (with signal 'User defined signal 1')"},
		{s.lines.signaledOOM, "info Main child exited with signal (with signal 'User defined signal 1')"},
		{s.lines.leave, "trace Exiting: child has exited"},
	} {
		c.line.say(&v)
		w.wants(c.want)
	}
	t.Run("-w warns of a zombie, and not of the program", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true, WarnOnReap: true})
		s.collected(reaper.Exit{PID: 12, Status: exited(0)})
		s.collected(reaper.Exit{PID: program, Status: exited(0)})
		w.wants("debug Reaped child with pid: '12'", "warn Reaped zombie process with pid=12", "debug Reaped child with pid: '7'")
	})
	t.Run("a whole run reads like tini's", func(t *testing.T) {
		last := ends(program, killed(unix.SIGTERM))
		end := last.do
		last.do = func(w *world) { w.living = 0; end(w) }
		s, w := newWorld(t, Config{Tini: true}, signalled(unix.SIGTERM), ends(9, exited(0)), last)
		w.living = 1
		s.supervise()
		s.report()
		w.wants("kill 7 SIGTERM", "debug Passing signal: 'Terminated'", "trace No child to reap",
			"debug Received SIGCHLD", "debug Reaped child with pid: '9'", "trace No child to reap",
			"debug Received SIGCHLD", "debug Reaped child with pid: '7'", "info Main child exited with signal (with signal 'Terminated')",
			"trace No child to wait", "trace Exiting: child has exited")
	})
	t.Run("an execve that failed is told of by the child", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true}, ends(program, exited(127)))
		w.execve, s.tty.noTTY = unix.ENOENT, true
		s.supervise()
		s.report()
		w.wants("debug (7) tcsetpgrp failed: no tty (ok to proceed)", "error (7) exec /bin/program failed: No such file or directory",
			"debug Received SIGCHLD", "debug Reaped child with pid: '7'", "info Main child exited normally (with status '127')",
			"trace No child to wait", "trace Exiting: child has exited")
	})
	t.Run("a program that ends at once", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true})
		w.execve, w.ended = unix.EACCES, []reaper.Exit{{PID: program, Status: exited(126)}}
		s.supervise()
		s.report()
		w.wants("error (7) exec /bin/program failed: Permission denied", "debug Received SIGCHLD", "debug Reaped child with pid: '7'",
			"info Main child exited normally (with status '126')", "trace No child to wait", "trace Exiting: child has exited")
	})
	t.Run("more than a pass of orphans", func(t *testing.T) {
		many := move{event: process.Event{Signal: unix.SIGCHLD}, do: func(w *world) {
			for range mostReaped {
				w.ended = append(w.ended, reaper.Exit{PID: 9, Status: exited(0)})
			}
		}}
		s, w := newWorld(t, Config{Tini: true}, many, ends(program, exited(0)))
		w.living = 1
		s.lines.reaped = nil
		s.supervise()
		w.wants("debug Received SIGCHLD", "debug Received SIGCHLD", "debug Reaped child with pid: '7'")
	})
	t.Run("a process that ends leaves others", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true}, ends(program, exited(3)))
		w.living = 1
		s.supervise()
		s.report()
		w.wants("debug Received SIGCHLD", "debug Reaped child with pid: '7'", "info Main child exited normally (with status '3')",
			"trace No child to reap", "trace Exiting: child has exited")
	})
	t.Run("tini reaps after each signal", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true}, move{event: process.Event{Signal: unix.SIGUSR1}, do: func(w *world) {
			w.ended = append(w.ended, reaper.Exit{PID: program, Status: exited(3)})
			w.refuse[program] = unix.ESRCH
		}})
		s.supervise()
		s.report()
		w.wants("kill 7 SIGUSR1", "debug Passing signal: 'User defined signal 1'", "warn Child was dead when forwarding signal",
			"debug Reaped child with pid: '7'", "info Main child exited normally (with status '3')",
			"trace No child to wait", "trace Exiting: child has exited")
	})
	t.Run("what a signal may not be sent for", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true}, signalled(unix.SIGUSR1), ends(program, exited(0)))
		w.verbose, w.refuse[program] = LevelWarn, unix.EPERM
		s.prepareLines()
		s.supervise()
		s.report()
		w.wants("kill 7 SIGUSR1", "warn Unexpected error when forwarding signal: 'Operation not permitted'")
	})
	t.Run("no process", func(t *testing.T) {
		s, w := newWorld(t, Config{Tini: true})
		s.cannotStart(unix.EAGAIN)
		s.cannotBeInit(os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.EPERM))
		s.cannotBeInit(os.NewSyscallError("prctl PR_SET_PDEATHSIG SIGTERM", unix.EINVAL))
		w.wants("error fork failed: Resource temporarily unavailable",
			"error Failed to register as child subreaper: Operation not permitted", "error Failed to set up parent death signal")
	})
}

func TestAppendSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Microsecond: "0s", time.Millisecond: "0.001s", 20 * time.Millisecond: "0.020s", 1234 * time.Millisecond: "1.234s",
		time.Second: "1s", time.Hour + 5*time.Millisecond: "3600.005s",
	} {
		if got := string(appendSeconds(nil, d)); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
