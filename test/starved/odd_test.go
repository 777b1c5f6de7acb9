package starved

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// phases of the life of PID 1, as columns of a table.
var phases = []string{"start", "spawn", "copy", "idle", "signal", "orphans", "end"}

// calls are the system calls of an init.
type calls struct {
	phase  map[string][]string // of PID 1, and of the program before its execve
	helper []string
	number map[string]int
}

// "4242 1764567890.123456 [ 231] exit_group(0) = ?"
var traced = regexp.MustCompile(`^(\d+) +([\d.]+) \[ *(\d+)\] (\w+)\((.*)`)

// trace runs an init through its life under strace.
func trace(t *testing.T, f form) calls {
	t.Helper()
	strace, err := exec.LookPath("strace")
	lab.Need(t, err == nil, "strace")
	file := t.TempDir() + "/trace"
	command := append([]string{bin + "/" + f.name}, f.options...)
	command = append(command, "--", helper, "orphans", "5")
	r := &lab.Run{Path: strace, Args: append([]string{"-f", "-n", "-ttt", "-qq", "-o", file, "unshare", "-pf"}, command...)}
	r.Start(t)
	lab.Until(t, "the program", func() bool { return strings.Contains(r.Stdout.String(), "ready\n") })
	pid := func(path string) (pid int) {
		processes, _ := filepath.Glob("/proc/[0-9]*")
		for _, p := range processes {
			line, _ := os.ReadFile(p + "/cmdline")
			if argv := strings.Split(string(line), "\x00"); argv[0] == path && argv[len(argv)-2] == "5" {
				pid, _ = strconv.Atoi(filepath.Base(p))
			}
		}
		return pid
	}
	init, program := pid(command[0]), pid(helper)
	var marks []time.Time
	mark := func(wait time.Duration) {
		marks = append(marks, time.Now())
		time.Sleep(wait)
	}
	time.Sleep(200 * time.Millisecond) // the copy of the code is made
	mark(time.Second)                  // idle
	mark(0)
	_ = syscall.Kill(init, syscall.SIGWINCH)
	time.Sleep(100 * time.Millisecond)
	mark(0)
	_ = syscall.Kill(program, syscall.SIGUSR1)
	lab.Until(t, "the orphans", func() bool { return strings.Contains(r.Stdout.String(), "made\n") })
	time.Sleep(100 * time.Millisecond)
	mark(0)
	_ = syscall.Kill(init, syscall.SIGTERM)
	if status := r.Wait(t); status != 42 {
		t.Fatalf("%s: %d, %q", f.what, status, r.Stderr.String())
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return byPhase(string(data), init, program, marks)
}

// byPhase reads the trace. Every process that is neither the init nor the program is a helper
// or a writer of the init, or an orphan.
func byPhase(data string, init, program int, marks []time.Time) calls {
	c := calls{map[string][]string{}, nil, map[string]int{}}
	began, execs, ran := false, false, time.Time{}
	for line := range strings.Lines(data) {
		m := traced.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		pid, _ := strconv.Atoi(m[1])
		seconds, _ := strconv.ParseFloat(m[2], 64)
		at := time.UnixMicro(int64(seconds * 1e6))
		if pid == init && m[4] == "execve" && !strings.Contains(line, "ENOENT") {
			began = true
			continue
		}
		if !began || pid == program && execs {
			continue
		}
		c.number[m[4]], _ = strconv.Atoi(m[3])
		if pid == program && m[4] == "execve" {
			execs, ran = true, at
		}
		if pid != init && pid != program {
			if !execs {
				c.helper = append(c.helper, m[4])
			}
			continue
		}
		phase := "start"
		switch {
		case pid == program:
			phase = "spawn"
		case at.After(marks[3]):
			phase = "end"
		case at.After(marks[2]):
			phase = "orphans"
		case at.After(marks[1]):
			phase = "signal"
		case at.After(marks[0]):
			phase = "idle"
		case execs && at.After(ran.Add(20*time.Millisecond)):
			phase = "copy"
		case execs || len(c.phase["spawn"]) > 0:
			phase = "spawn"
		}
		c.phase[phase] = append(c.phase[phase], m[4])
	}
	for name, list := range c.phase {
		slices.Sort(list)
		c.phase[name] = slices.Compact(list)
	}
	slices.Sort(c.helper)
	c.helper = slices.Compact(c.helper)
	return c
}

// In plain init mode cgshim should make no system call that tini does not make, because a
// sandbox may kill the process for it. The table notes each.
func TestOddCallsByPhase(t *testing.T) {
	lab.Root(t)
	tinis := trace(t, form{"tini-static", "tini-static", nil, false})
	for _, f := range []form{forms[1], forms[2]} {
		ours := trace(t, f)
		for _, phase := range phases {
			t.Logf("%s, %s: %s; tini-static: %s", f.what, phase, strings.Join(ours.phase[phase], " "), strings.Join(tinis.phase[phase], " "))
		}
		t.Logf("%s, helper: %s", f.what, strings.Join(ours.helper, " "))
		if len(ours.phase["idle"]) > 0 {
			t.Errorf("%s: an idle init makes calls: %v", f.what, ours.phase["idle"])
		}
		noteCalls(f.what, ours, tinis)
	}
}

// callRows are the third table of docs/survival.md.
var callRows [][3]string

func noteCalls(what string, ours, tinis calls) {
	for _, phase := range phases {
		callRows = append(callRows, [3]string{what + ": " + phase, strings.Join(ours.phase[phase], ", "), strings.Join(tinis.phase[phase], ", ")})
	}
	callRows = append(callRows, [3]string{what + ": helper", strings.Join(ours.helper, ", "), ""})
}

// A sandbox answers each system call of cgshim in one of four ways. As docker-init it must live
// where tini-static does. Under its own name it may also say in one line why it does not start.
func TestOddEachSystemCall(t *testing.T) {
	lab.Root(t)
	for _, f := range []form{forms[1], forms[2]} {
		for name, number := range trace(t, f).number {
			switch name {
			case "execve", "exit_group", "exit": // of every process
				continue
			}
			for _, what := range []string{"1", "38", "kill", "trap"} { // EPERM, ENOSYS
				compare(t, f, name+", "+what, strconv.Itoa(number), what)
			}
		}
	}
}

// groups of system calls that systemd.exec(5) names, as far as an init may live without them.
var callGroups = map[string][]int{
	"@memlock": {syscall.SYS_MLOCK, syscall.SYS_MLOCKALL, syscall.SYS_MUNLOCK, syscall.SYS_MUNLOCKALL, 325},
	"@timer": {
		syscall.SYS_TIMER_CREATE, syscall.SYS_TIMER_SETTIME, syscall.SYS_TIMER_GETTIME, syscall.SYS_TIMER_DELETE,
		syscall.SYS_TIMER_GETOVERRUN, syscall.SYS_TIMERFD_CREATE, syscall.SYS_TIMERFD_SETTIME, syscall.SYS_TIMERFD_GETTIME,
		syscall.SYS_ALARM, syscall.SYS_GETITIMER, syscall.SYS_SETITIMER, syscall.SYS_TIMES,
	},
	"@mount":       {syscall.SYS_MOUNT, syscall.SYS_UMOUNT2, syscall.SYS_CHROOT, syscall.SYS_PIVOT_ROOT, 428, 429, 430, 431, 432, 433, 442},
	"@resources":   {syscall.SYS_IOPRIO_SET, syscall.SYS_SCHED_SETAFFINITY, syscall.SYS_SCHED_SETPARAM, syscall.SYS_SCHED_SETSCHEDULER, syscall.SYS_SETPRIORITY, syscall.SYS_SETRLIMIT},
	"@privileged":  {syscall.SYS_CHROOT, syscall.SYS_CHOWN, syscall.SYS_SETUID, syscall.SYS_SETGROUPS, syscall.SYS_CAPSET, syscall.SYS_QUOTACTL},
	"@keyring":     {syscall.SYS_ADD_KEY, syscall.SYS_KEYCTL, syscall.SYS_REQUEST_KEY},
	"@debug":       {syscall.SYS_PTRACE, syscall.SYS_PERF_EVENT_OPEN, 438, 310, 311},
	"@setuid":      {syscall.SYS_SETUID, syscall.SYS_SETGID, syscall.SYS_SETRESUID, syscall.SYS_SETRESGID, syscall.SYS_SETGROUPS},
	"@aio":         {syscall.SYS_IO_SETUP, syscall.SYS_IO_SUBMIT, 425, 426, 427},
	"@swap":        {syscall.SYS_SWAPON, syscall.SYS_SWAPOFF},
	"@pkey":        {329, 330, 331},
	"@clone-pidfd": {434, 424},
}

func TestOddGroupsOfSystemCalls(t *testing.T) {
	lab.Root(t)
	for name, numbers := range callGroups {
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ","), "[]")
		for _, f := range []form{forms[1], forms[2]} {
			compare(t, f, name+", kill", list, "kill")
		}
	}
}

// compare runs an init without some system calls, and tini-static likewise.
func compare(t *testing.T, f form, what, numbers, action string) {
	t.Helper()
	run := func(f form) (int, string) {
		r := &lab.Run{Path: bin + "/" + f.name, Args: append(slices.Clone(f.options), "--", helper, "ready"), PID1: true}
		by(r, "refuse", numbers, action)
		r.Start(t)
		told := false
		if !within(10*time.Second, func() bool {
			return dead(r) || !told && strings.Contains(r.Stdout.String(), "ready\n") && !lateEnd(r, &told)
		}) {
			return -1, "hangs"
		}
		return r.Wait(t), r.Stderr.String()
	}
	status, said := run(f)
	want, tinis := run(f.tinis())
	explains := f.name == "cgshim" && status == 1 && strings.Count(said, "\n") == 1
	switch {
	case status == 42 || status == want || explains:
	case want == 42 || status == -1:
		t.Errorf("%s, without %s: %d, %q; tini-static: %d, %q", f.what, what, status, said, want, tinis)
	default:
		t.Logf("%s, without %s: %d, %q; tini-static: %d, %q", f.what, what, status, said, want, tinis)
	}
}

// lateEnd ends the init by TERM after the copy of the code.
func lateEnd(r *lab.Run, told *bool) bool {
	*told = true
	time.Sleep(80 * time.Millisecond)
	_ = syscall.Kill(r.PID(), syscall.SIGTERM)
	return true
}
