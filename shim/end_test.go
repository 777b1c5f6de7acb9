package shim

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

func TestReport(t *testing.T) {
	expected := func(codes ...int) (c Config) {
		for _, code := range codes {
			c.ExpectExit[code] = true
		}
		return c
	}
	tini := func(c Config) Config {
		c.Tini = true
		return c
	}
	for _, c := range []struct {
		name   string
		config Config
		exit   unix.WaitStatus
		world  func(*shim, *world)
		status int
		want   []string
	}{
		{name: "an exit with 0", exit: exited(0), want: []string{"info child exited pid=7 program=program status=0 elapsed=1.250s"}},
		{name: "an exit with 255", exit: exited(255), status: 255, want: []string{"info child exited pid=7 program=program status=255 elapsed=1.250s"}},
		{
			name: "--expect-exit makes a status 0", config: expected(143), exit: killed(unix.SIGTERM),
			world: func(s *shim, _ *world) { s.sent = process.SetOf(unix.SIGTERM) },
			want:  []string{"info child ended by signal pid=7 program=program status=0 elapsed=1.250s signal=SIGTERM core_dumped=false"},
		},
		{
			name: "--expect-exit is about the listed ones only", config: expected(1, 3), exit: exited(2), status: 2,
			want: []string{"info child exited pid=7 program=program status=2 elapsed=1.250s"},
		},
		{
			name: "a signal that was forwarded is no surprise", exit: killed(unix.SIGINT), status: 130,
			world: func(s *shim, _ *world) { s.sent = process.SetOf(unix.SIGINT) },
			want:  []string{"info child ended by signal pid=7 program=program status=130 elapsed=1.250s signal=SIGINT core_dumped=false"},
		},
		{
			name: "a signal that was not is a warning", exit: killed(unix.SIGINT), status: 130,
			world: func(s *shim, _ *world) { s.sent = process.SetOf(unix.SIGTERM) },
			want:  []string{"warn child ended by signal pid=7 program=program status=130 elapsed=1.250s signal=SIGINT core_dumped=false"},
		},
		{
			name: "a dumped core is said", exit: dumped(unix.SIGSEGV), status: 139,
			want: []string{"warn child ended by signal pid=7 program=program status=139 elapsed=1.250s signal=SIGSEGV core_dumped=true"},
		},
		{
			name: "OOM kills since the start are a warning", exit: exited(1), status: 1,
			world: func(s *shim, w *world) { s.oomKills, w.oomKills = 3, 5 },
			want:  []string{"warn child exited pid=7 program=program status=1 elapsed=1.250s oom_kills=2"},
		},
		{
			name: "OOM kills and a signal", exit: killed(unix.SIGKILL), status: 137,
			world: func(_ *shim, w *world) { w.oomKills = 1 },
			want:  []string{"warn child ended by signal pid=7 program=program status=137 elapsed=1.250s signal=SIGKILL core_dumped=false oom_kills=1"},
		},
		{
			name: "OOM kills before the start are not the program's", exit: exited(1), status: 1,
			world: func(s *shim, w *world) { s.oomKills, w.oomKills = 5, 5 },
			want:  []string{"info child exited pid=7 program=program status=1 elapsed=1.250s"},
		},
		{
			name: "OOM kills are no matter where the program ended well", exit: exited(0),
			world: func(_ *shim, w *world) { w.oomKills = 5 },
			want:  []string{"info child exited pid=7 program=program status=0 elapsed=1.250s"},
		},
		{
			name: "where they cannot be counted none is said", exit: exited(1), status: 1,
			world: func(_ *shim, w *world) { w.oomKills, w.noCgroup = 5, true },
			want:  []string{"info child exited pid=7 program=program status=1 elapsed=1.250s"},
		},
		{
			name: "tini's words for an exit", config: tini(expected(3)), exit: exited(3),
			want: []string{"info Main child exited normally (with status '3')", "trace No child to wait", "trace Exiting: child has exited"},
		},
		{
			name: "tini's words for a signal", config: tini(Config{}), exit: killed(unix.SIGTERM), status: 143,
			want: []string{"info Main child exited with signal (with signal 'Terminated')", "trace No child to wait", "trace Exiting: child has exited"},
		},
		{
			name: "tini does not know of OOM kills", config: tini(Config{}), exit: killed(unix.SIGKILL), status: 137,
			world: func(_ *shim, w *world) { w.oomKills = 2 },
			want:  []string{"info Main child exited with signal (with signal 'Killed')", "trace No child to wait", "trace Exiting: child has exited"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := newWorld(t, c.config)
			s.exit, s.ended = reaper.Exit{PID: program, Status: c.exit}, true
			w.clock += 1250 * time.Millisecond
			if c.world != nil {
				c.world(s, w)
			}
			if status := s.report(); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			w.wants(c.want...)
		})
	}

	t.Run("the OOM kills before the start are counted before the start", func(t *testing.T) {
		s, w := newWorld(t, Config{Args: []string{"/bin/program"}})
		w.oomKills = 3
		if _, errno := s.prepare(new(process.Signals)); errno != 0 {
			t.Fatal(errno)
		}
		w.oomKills, s.exit = 4, reaper.Exit{PID: program, Status: exited(1)}
		s.report()
		w.wants("warn child exited pid=7 program=program status=1 elapsed=0s oom_kills=1")
	})

	t.Run("a binary for another machine that /bin/sh was given is named", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "foreign")
		put(t, file, string(elfFor(22 /* s390x */, binary.BigEndian)), 0o755)
		s, w := newWorld(t, Config{Args: []string{file}})
		w.viaShell, s.exit = true, reaper.Exit{PID: program, Status: exited(2)}
		s.report()
		if len(w.trace) != 2 || !strings.HasPrefix(w.trace[0], "warn program is read by /bin/sh program="+file+" reason="+file+" is built for s390x") {
			t.Errorf("%q", w.trace)
		}
	})
	t.Run("tini does not say so", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "foreign")
		put(t, file, string(elfFor(22, binary.BigEndian)), 0o755)
		s, w := newWorld(t, tini(Config{Args: []string{file}}))
		w.viaShell, s.exit = true, reaper.Exit{PID: program, Status: exited(2)}
		s.report()
		w.wants("info Main child exited normally (with status '2')", "trace No child to wait", "trace Exiting: child has exited")
	})
	t.Run("a script that /bin/sh was given is not", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "script")
		put(t, file, "exit 2\n", 0o755)
		s, w := newWorld(t, Config{Args: []string{file}})
		w.viaShell, s.exit = true, reaper.Exit{PID: program, Status: exited(2)}
		s.report()
		w.wants("info child exited pid=7 program=script status=2 elapsed=0s")
	})
}

func TestExecFailure(t *testing.T) {
	for _, c := range []struct {
		name   string
		errno  syscall.Errno
		config Config
		status int
		want   string // beginning of the line
	}{
		{"no such program is 127", unix.ENOENT, Config{Args: []string{"/no/such"}}, 127, "error cannot execute program=/no/such err=no such file or directory reason=no such file"},
		{"one that may not be executed is 126", unix.EACCES, Config{Args: []string{"/"}}, 126, "error cannot execute program=/ err=permission denied reason=/ is a directory"},
		{"any other reason is 1", unix.E2BIG, Config{Args: []string{"/bin"}}, 1, "error cannot execute program=/bin err=argument list too long reason=the arguments and the environment are too long"},
		{"tini's words", unix.ENOENT, Config{Tini: true, Args: []string{"nosuch"}, Env: []string{"PATH=/no/such"}}, 127, "error (7) exec nosuch failed: No such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := newWorld(t, c.config)
			w.execve = c.errno
			s.exit, s.ended = reaper.Exit{PID: program, Status: exited(127)}, true
			if status := s.report(); status != c.status || len(w.trace) == 0 || !strings.HasPrefix(w.trace[0], c.want) {
				t.Errorf("status %d, %q", status, w.trace)
			}
			s, w = newWorld(t, c.config)
			w.execve, w.silent = c.errno, true
			before, _, _ := strings.Cut(c.want, " reason=")
			if status := s.report(); status != c.status || len(w.trace) == 0 || w.trace[0] != before {
				t.Errorf("without an answer: status %d, %q", status, w.trace)
			}
			c.config.ExpectExit[c.status] = true
			s, w = newWorld(t, c.config)
			w.execve = c.errno
			if status := s.report(); status != 0 {
				t.Errorf("status %d, which -e makes 0", status)
			}
		})
	}
}

func TestAnAnswerThatWasCutEndsItsLine(t *testing.T) {
	s, w := newWorld(t, Config{})
	s.ask = func(func() string, time.Duration, func() bool) []byte { return []byte("answer...") }
	s.cannotExecute(unix.ENOENT)
	w.wants("answer..")
}

func TestDrain(t *testing.T) {
	const timeout = 3 * time.Second
	left := func(s *shim, w *world) { s.orphans, w.living = true, 2 }
	gone := func(w *world) { w.living = 0 }
	chld := func(after time.Duration, do func(*world)) move {
		return move{after: after, event: process.Event{Signal: unix.SIGCHLD}, do: do}
	}
	draining, rest := "info draining timeout=3s", "warn processes are left after the drain timeout, killing them timeout=3s"
	for _, c := range []struct {
		name  string
		none  bool // without --drain-timeout
		world func(*shim, *world)
		moves []move
		want  []string
		takes time.Duration
	}{
		{name: "without --drain-timeout nothing is done", none: true, world: left},
		{name: "with nothing left nothing is done", world: func(*shim, *world) {}},
		{name: "what has ended meanwhile is not left", world: func(s *shim, _ *world) { s.orphans = true }},
		{
			name: "TERM, then CONT for what is stopped, and what ends is waited for", world: left, moves: []move{chld(time.Second, gone)},
			want: []string{"kill -1 SIGTERM", "kill -1 SIGCONT", draining}, takes: time.Second,
		},
		{
			name: "what is left at the time-out is killed", world: left, moves: []move{chld(timeout+time.Millisecond, gone)},
			want: []string{"kill -1 SIGTERM", "kill -1 SIGCONT", draining, "kill -1 SIGKILL", rest}, takes: timeout + time.Millisecond,
		},
		{
			name: "what SIGKILL does not end is left to the kernel", world: left,
			want: []string{"kill -1 SIGTERM", "kill -1 SIGCONT", draining, "kill -1 SIGKILL", rest}, takes: timeout + killGrace,
		},
		{
			name: "inner containers are ended by cgroup.kill", moves: []move{chld(timeout+time.Millisecond, gone)},
			world: func(s *shim, w *world) { left(s, w); s.delegated = true },
			want:  []string{"kill -1 SIGTERM", "kill -1 SIGCONT", draining, "cgroup.kill", "kill -1 SIGKILL", rest}, takes: timeout + time.Millisecond,
		},
		{
			name: "where cgroup.kill is refused SIGKILL serves", moves: []move{chld(timeout+time.Millisecond, gone)},
			world: func(s *shim, w *world) { left(s, w); s.delegated, w.noKill = true, unix.EOPNOTSUPP },
			want: []string{
				"kill -1 SIGTERM", "kill -1 SIGCONT", draining, "cgroup.kill", "debug cgroup.kill not used err=operation not supported",
				"kill -1 SIGKILL", rest,
			}, takes: timeout + time.Millisecond,
		},
		{
			name: "beside another PID 1 the inner containers are not this process's", moves: []move{chld(timeout+time.Millisecond, gone)},
			world: func(s *shim, w *world) { left(s, w); s.delegated, s.pid1 = true, false },
			want:  []string{draining, rest}, takes: timeout + time.Millisecond,
		},
		{
			name: "a stop signal meanwhile hurries it", world: left,
			moves: []move{signalled(unix.SIGUSR1), signalled(unix.SIGTERM).in(time.Second), chld(time.Millisecond, gone)},
			want:  []string{"kill -1 SIGTERM", "kill -1 SIGCONT", draining, "kill -1 SIGKILL", rest}, takes: time.Second + time.Millisecond,
		},
		{
			name: "after the KILL a stop signal hurries nothing", world: left,
			moves: []move{signalled(unix.SIGTERM), signalled(unix.SIGTERM), chld(time.Second, gone)},
			want:  []string{"kill -1 SIGTERM", "kill -1 SIGCONT", draining, "kill -1 SIGKILL", rest}, takes: time.Second,
		},
		{
			name: "processes that are no children are looked for", moves: []move{{after: time.Second, event: process.Event{Signal: unix.SIGUSR1}, do: func(w *world) { w.strangers = false }}},
			world: func(_ *shim, w *world) { w.strangers = true },
			want:  []string{"kill -1 SIGTERM", "kill -1 SIGCONT", draining}, takes: time.Second,
		},
		{name: "processes that are no children are not looked for as another than PID 1", world: func(s *shim, w *world) { s.pid1, w.strangers = false, true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := Config{DrainTimeout: timeout}
			if c.none {
				config.DrainTimeout = 0
			}
			s, w := newWorld(t, config, c.moves...)
			s.clock = stopwatch{now: s.now, last: s.now()}
			c.world(s, w)
			s.drain()
			w.wants(c.want...)
			if took := w.clock - s.started; took < c.takes || took > c.takes+tick {
				t.Errorf("it took %v, want %v", took, c.takes)
			}
			if len(w.moves) > 0 && !c.none {
				t.Errorf("%d moves are left", len(w.moves))
			}
		})
	}

	t.Run("a stream of signals does not put the deadline off", func(t *testing.T) {
		var stream []move
		for range 10_000 {
			stream = append(stream, signalled(unix.SIGUSR1).in(time.Millisecond))
		}
		s, w := newWorld(t, Config{DrainTimeout: timeout}, stream...)
		s.clock = stopwatch{now: s.now, last: s.now()}
		w.living, s.orphans = 1, true
		var at time.Duration
		kill := s.kill
		s.kill = func(pid int, sig process.Signal) syscall.Errno {
			if sig == unix.SIGKILL {
				at, w.living, w.moves = w.clock-s.started, 0, []move{chld(0, nil)}
			}
			return kill(pid, sig)
		}
		s.drain()
		if at < timeout || at > timeout+tick {
			t.Errorf("SIGKILL after %v", at)
		}
	})
}

func init() {
	// A child has a child of its own. Both end at the end of standard input.
	helpers["parent"] = func() {
		child := exec.Command("/proc/self/exe")
		child.Env = []string{helperEnv + "=reader"}
		child.Stdin = os.Stdin
		if err := child.Start(); err != nil {
			panic(err)
		}
		_, _ = os.Stdout.WriteString(strconv.Itoa(child.Process.Pid) + "\n")
		_ = child.Wait()
	}
	helpers["reader"] = func() { _, _ = os.Stdin.Read(make([]byte, 1)) }
}

// startReader starts the helper "reader", which ends when the test does.
func startReader(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = cmd.Wait() })
}

// A shim that is not PID 1 signals only its descendants.
func TestDrainSignalsTheDescendants(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{helperEnv + "=parent"}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close(); _ = cmd.Wait() }()
	line := make([]byte, 32)
	n, err := stdout.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newWorld(t, Config{})
	s.pid1 = false
	var sent []int
	s.kill = func(pid int, sig process.Signal) syscall.Errno {
		if sig != unix.SIGTERM {
			t.Errorf("signal %v", sig)
		}
		sent = append(sent, pid)
		return 0
	}
	s.signalRest(unix.SIGTERM)
	for _, pid := range []int{cmd.Process.Pid, grandchild} {
		if !slices.Contains(sent, pid) {
			t.Errorf("%d got nothing: %v", pid, sent)
		}
	}
	for _, pid := range []int{os.Getpid(), os.Getppid(), 1} {
		if slices.Contains(sent, pid) {
			t.Errorf("%d, which is none, got a signal", pid)
		}
	}
	if descends(1<<22+1, os.Getpid()) {
		t.Error("a process that is not there descends from this one")
	}
}

func TestSpawn(t *testing.T) {
	t.Run("the program starts in a group of its own, and the log tells its number", func(t *testing.T) {
		s, w := newWorld(t, Config{})
		p := new(process.Program)
		w.clock += time.Minute // the set-up is no part of the program's life
		if errno := s.spawn(p); errno != 0 || s.started != w.clock || !p.Group || p.Terminal != -1 || s.child != program || s.program != outcome(p) {
			t.Errorf("%v, %+v", errno, p)
		}
		w.wants("info spawned child pid=7 program=/bin/program")
	})
	t.Run("the terminal on standard input goes to the program if this process had it", func(t *testing.T) {
		s, _ := newWorld(t, Config{})
		s.tty = &terminal{fd: 0, foreground: true}
		p := new(process.Program)
		if s.spawn(p); p.Terminal != 0 {
			t.Errorf("%+v", p)
		}
	})
	t.Run("a clone that is refused is told of", func(t *testing.T) {
		s, w := newWorld(t, Config{})
		w.execve = unix.EAGAIN
		if errno := s.spawn(new(process.Program)); errno != unix.EAGAIN {
			t.Error(errno)
		}
		w.wants()
	})
	for errno, word := range map[syscall.Errno]string{unix.EAGAIN: "--pids-limit", unix.ENOMEM: "memory limit", unix.EPERM: ""} {
		if hint := startHint(errno); !strings.Contains(hint, word) || (word == "") != (hint == "") {
			t.Errorf("startHint(%v) = %q", errno, hint)
		}
	}
}

func TestPrepare(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		errno  syscall.Errno
	}{
		{"a program with a zero byte in its name is refused", Config{Args: []string{"a\x00b"}}, unix.EINVAL},
		{"and one in an argument", Config{Args: []string{"a", "\x00"}}, unix.EINVAL},
		{"and one in the environment", Config{Args: []string{"a"}, Env: []string{"A=\x00"}}, unix.EINVAL},
		{"--dind adds container=docker", Config{Args: []string{"a"}, Dind: true}, 0},
		{"--dind keeps a container variable", Config{Args: []string{"a"}, Dind: true, Env: []string{"container=lxc"}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newWorld(t, c.config)
			env := slices.Clone(c.config.Env)
			if _, errno := s.prepare(new(process.Signals)); errno != c.errno {
				t.Errorf("%v, want %v", errno, c.errno)
			}
			if !slices.Equal(s.Env, env) {
				t.Errorf("the environment became %q", s.Env)
			}
		})
	}
}

// A sandbox may refuse the system calls that an init waits with.
func TestMayWait(t *testing.T) {
	for _, c := range []struct {
		name           string
		signals, waits syscall.Errno
		want           []string
	}{
		{name: "an init that may wait says nothing"},
		{
			name: "one that may not wait for signals says so", signals: unix.EPERM,
			want: []string{"error cannot be an init err=rt_sigtimedwait: operation not permitted hint=a sandbox refuses the system call: allow rt_sigtimedwait in the seccomp profile"},
		},
		{
			name: "one that may not wait for children says so", waits: unix.ENOSYS,
			want: []string{"error cannot be an init err=wait4: function not implemented hint=a sandbox refuses the system call: allow wait4 in the seccomp profile"},
		},
		{
			name: "one line is enough", signals: unix.EPERM, waits: unix.EPERM,
			want: []string{"error cannot be an init err=rt_sigtimedwait: operation not permitted hint=a sandbox refuses the system call: allow rt_sigtimedwait in the seccomp profile"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := newWorld(t, Config{})
			w.noSignals, w.noWait = c.signals, c.waits
			if may := s.mayWait(); may != (c.want == nil) {
				t.Errorf("may wait: %v", may)
			}
			w.wants(c.want...)
		})
	}
}
