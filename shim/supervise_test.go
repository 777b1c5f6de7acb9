package shim

import (
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
	"github.com/cgshim/cgshim/shim/process"
)

// The signals that the program gets, and the way the shim ends, by signal and by child.
func TestSupervise(t *testing.T) {
	second := time.Second
	stop := func(d time.Duration) Config { return Config{StopTimeout: d} }
	grouped := func(d time.Duration) Config { return Config{StopTimeout: d, KillGroup: true} }
	// In a stream, a signal is always pending.
	stream := func(n int, every time.Duration) (moves []move) {
		for range n {
			moves = append(moves, signalled(unix.SIGUSR1).in(every))
		}
		return moves
	}
	for _, c := range []struct {
		name   string
		config Config
		moves  []move
		world  func(*shim, *world)
		level  Level
		want   []string
		status int
		took   time.Duration
	}{
		{
			name: "a signal reaches the program, with who sent it in the log", level: LevelDebug,
			moves: []move{{event: process.Event{Signal: unix.SIGHUP, PID: 40, UID: 1000}}, ends(program, exited(0))},
			want: []string{
				"kill 7 SIGHUP", "debug forwarding signal signal=SIGHUP received=SIGHUP pid=7 from_pid=40 from_uid=1000",
				"info child exited pid=7 program=program status=0 elapsed=0s",
			},
		},
		{
			name: "--kill-group sends to the group", level: LevelDebug, config: Config{KillGroup: true},
			moves: []move{signalled(unix.SIGUSR1), ends(program, exited(3))},
			want: []string{
				"kill -7 SIGUSR1", "debug forwarding signal signal=SIGUSR1 received=SIGUSR1 pid=-7 from_pid=0 from_uid=0",
				"info child exited pid=7 program=program status=3 elapsed=0s",
			},
			status: 3,
		},
		{
			name: "a signal of a terminal that stops it is not forwarded, and the log says so", level: LevelDebug,
			moves: []move{signalled(unix.SIGTTIN), ends(program, exited(0))},
			want: []string{
				"debug signal not forwarded signal=SIGTTIN from_pid=0 from_uid=0",
				"info child exited pid=7 program=program status=0 elapsed=0s",
			},
		},
		{
			name: "--rewrite sends another signal", level: LevelDebug, config: Config{Rewrite: map[process.Signal]process.Signal{unix.SIGTERM: unix.SIGQUIT}},
			moves: []move{signalled(unix.SIGTERM), ends(program, exited(0))},
			want: []string{
				"kill 7 SIGQUIT", "debug forwarding signal signal=SIGQUIT received=SIGTERM pid=7 from_pid=0 from_uid=0",
				"info child exited pid=7 program=program status=0 elapsed=0s",
			},
		},
		{
			name: "--rewrite to 0 drops a signal, and it starts no clock", level: LevelDebug,
			config: Config{Rewrite: map[process.Signal]process.Signal{unix.SIGTERM: 0}, StopTimeout: second},
			moves:  []move{signalled(unix.SIGTERM), ends(program, exited(0)).in(time.Hour)},
			want: []string{
				"debug signal not forwarded signal=SIGTERM from_pid=0 from_uid=0",
				"info child exited pid=7 program=program status=0 elapsed=3600s",
			},
		},
		{
			name: "a rewrite of TTIN makes it a signal that is sent", level: LevelWarn,
			config: Config{Rewrite: map[process.Signal]process.Signal{unix.SIGTTIN: unix.SIGHUP}},
			moves:  []move{signalled(unix.SIGTTIN), ends(program, exited(0))},
			want:   []string{"kill 7 SIGHUP"},
		},
		{
			name: "a forward that is refused does not end the container", level: LevelWarn,
			world: func(_ *shim, w *world) { w.refuse[program] = unix.EPERM },
			moves: []move{signalled(unix.SIGHUP), signalled(unix.SIGUSR2), ends(program, exited(0))},
			want: []string{
				"kill 7 SIGHUP", "warn cannot forward signal signal=SIGHUP pid=7 err=operation not permitted",
				"kill 7 SIGUSR2", "warn cannot forward signal signal=SIGUSR2 pid=7 err=operation not permitted",
			},
		},
		{
			name: "one SIGCHLD stands for many children, and the program's end is the end", level: LevelDebug,
			moves: []move{{event: process.Event{Signal: unix.SIGCHLD}, do: func(w *world) {
				w.ended = append(w.ended, reaper.Exit{PID: 20, Status: exited(1)}, reaper.Exit{PID: program, Status: exited(5)}, reaper.Exit{PID: 21, Status: killed(unix.SIGKILL)})
			}}},
			want: []string{
				"debug reaped orphan pid=20 status=1", "debug reaped orphan pid=21 status=137",
				"info child exited pid=7 program=program status=5 elapsed=0s",
			},
			status: 5,
		},
		{
			name: "children that ended before the start are reaped without a SIGCHLD", level: LevelWarn, config: Config{WarnOnReap: true},
			world: func(_ *shim, w *world) { w.ended = []reaper.Exit{{PID: 3, Status: exited(0)}} },
			moves: []move{ends(program, exited(0))},
			want:  []string{"warn reaped orphan pid=3 status=0"},
		},
		{
			name: "a program that ended before the first look needs no signal", level: LevelWarn,
			world:  func(_ *shim, w *world) { w.ended = []reaper.Exit{{PID: program, Status: exited(9)}} },
			status: 9,
		},
		{
			name: "an orphan with the program's number after its end is an orphan", level: LevelDebug,
			moves: []move{{event: process.Event{Signal: unix.SIGCHLD}, do: func(w *world) {
				w.ended = []reaper.Exit{{PID: program, Status: exited(1)}, {PID: program, Status: exited(2)}}
			}}},
			want:   []string{"debug reaped orphan pid=7 status=2", "info child exited pid=7 program=program status=1 elapsed=0s"},
			status: 1,
		},
		{
			name: "without --stop-timeout the program is never killed", level: LevelWarn,
			moves: []move{signalled(unix.SIGTERM), ends(program, exited(0)).in(100 * time.Hour)},
			want:  []string{"kill 7 SIGTERM"},
		},
		{
			name: "the time-out kills the program", level: LevelWarn, config: stop(second),
			moves: []move{signalled(unix.SIGTERM), ends(program, killed(unix.SIGKILL)).in(2 * second)},
			want: []string{
				"kill 7 SIGTERM", "kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s",
				"warn child ended by signal pid=7 program=program status=137 elapsed=2s signal=SIGKILL core_dumped=false",
			},
			status: 137,
		},
		{
			name: "the time-out kills the group and the program, which may have left it", level: LevelWarn, config: grouped(second),
			moves: []move{signalled(unix.SIGTERM), ends(program, killed(unix.SIGKILL)).in(2 * second)},
			want: []string{
				"kill -7 SIGTERM", "kill -7 SIGKILL", "kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s",
				"warn child ended by signal pid=7 program=program status=137 elapsed=2s signal=SIGKILL core_dumped=false",
			},
			status: 137,
		},
		{
			name: "a program that stops in time is not killed", level: LevelWarn, config: grouped(second),
			moves: []move{signalled(unix.SIGTERM), ends(program, killed(unix.SIGTERM)).in(second - 1)},
			want:  []string{"kill -7 SIGTERM"}, status: 143,
		},
		{
			name: "a second stop signal does not start the clock again", level: LevelWarn, config: stop(second),
			moves: []move{signalled(unix.SIGTERM), signalled(unix.SIGINT).in(900 * time.Millisecond), ends(program, exited(0)).in(200 * time.Millisecond)},
			want:  []string{"kill 7 SIGTERM", "kill 7 SIGINT", "kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s"},
		},
		{
			name: "a rewritten stop signal starts the clock", level: LevelWarn,
			config: Config{StopTimeout: second, Rewrite: map[process.Signal]process.Signal{unix.SIGTERM: unix.SIGHUP}},
			moves:  []move{signalled(unix.SIGTERM), ends(program, exited(0)).in(2 * second)},
			want:   []string{"kill 7 SIGHUP", "kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s"},
		},
		{
			name: "a signal that is rewritten to a stop signal starts the clock", level: LevelWarn,
			config: Config{StopTimeout: second, Rewrite: map[process.Signal]process.Signal{unix.SIGHUP: unix.SIGTERM}},
			moves:  []move{signalled(unix.SIGHUP), ends(program, exited(0)).in(2 * second)},
			want:   []string{"kill 7 SIGTERM", "kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s"},
		},
		{
			name: "--stop-signal names others: WINCH starts the clock, TERM does not", level: LevelWarn,
			config: Config{StopTimeout: second, StopSignals: process.SetOf(unix.SIGWINCH, 37)},
			moves:  []move{signalled(unix.SIGTERM), signalled(unix.SIGWINCH).in(time.Hour), ends(program, exited(0)).in(2 * second)},
			want:   []string{"kill 7 SIGTERM", "kill 7 SIGWINCH", "kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s"},
		},
		{
			name: "real-time stop signals count", level: LevelWarn,
			config: Config{StopTimeout: second, StopSignals: process.SetOf(37)},
			moves:  []move{signalled(37), ends(program, exited(0)).in(2 * second)},
			want:   []string{"kill 7 SIGRTMIN+3", "kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s"},
		},
		{
			name: "EPERM of the kill ends PID 1, and so the PID namespace", level: LevelWarn, config: stop(second),
			world: func(_ *shim, w *world) { w.refuse[program] = unix.EPERM },
			moves: []move{signalled(unix.SIGTERM)},
			want: []string{
				"kill 7 SIGTERM", "warn cannot forward signal signal=SIGTERM pid=7 err=operation not permitted",
				"kill 7 SIGKILL", "warn child may not be killed, exiting so that the kernel kills it pid=7 timeout=1s err=operation not permitted",
			},
			status: 137,
		},
		{
			name: "it ends at once with --drain-timeout too, and the rest is asked to end", level: LevelInfo,
			config: Config{StopTimeout: second, DrainTimeout: time.Minute},
			world:  func(_ *shim, w *world) { w.refuse[program], w.living = unix.EPERM, 2 },
			moves:  []move{signalled(unix.SIGTERM)},
			want: []string{
				"kill 7 SIGTERM", "warn cannot forward signal signal=SIGTERM pid=7 err=operation not permitted",
				"kill 7 SIGKILL", "warn child may not be killed, exiting so that the kernel kills it pid=7 timeout=1s err=operation not permitted",
				"kill -1 SIGTERM", "kill -1 SIGCONT",
			},
			status: 137, took: second,
		},
		{
			name: "EPERM of the kill ends no other process than PID 1, for the kernel would kill nothing", level: LevelWarn, config: stop(second),
			world: func(s *shim, w *world) { s.pid1, w.refuse[program] = false, unix.EPERM },
			moves: []move{signalled(unix.SIGTERM), ends(program, exited(4)).in(time.Hour)},
			want: []string{
				"kill 7 SIGTERM", "warn cannot forward signal signal=SIGTERM pid=7 err=operation not permitted",
				"kill 7 SIGKILL", "warn child did not stop in time and may not be killed pid=7 timeout=1s err=operation not permitted",
			},
			status: 4,
		},
		{
			name: "a program that is gone at the time-out is no refusal", level: LevelWarn, config: stop(second),
			world: func(_ *shim, w *world) { w.refuse[program] = unix.ESRCH },
			moves: []move{signalled(unix.SIGTERM), ends(program, exited(0)).in(2 * second)},
			want: []string{
				"kill 7 SIGTERM", "warn cannot forward signal signal=SIGTERM pid=7 err=no such process",
				"kill 7 SIGKILL", "warn child did not stop in time, killing it pid=7 timeout=1s",
			},
		},
		{
			name: "a child that PID 1 came to trace is detached with the signal that stopped it", level: LevelWarn,
			world: func(_ *shim, w *world) { w.tracees[9] = 0 },
			moves: []move{ends(9, stoppedBy(unix.SIGTRAP)), ends(program, exited(0))},
			want:  []string{"detach 9 SIGTRAP"},
		},
		{
			name: "a program that made PID 1 its tracer is detached", level: LevelWarn,
			world: func(_ *shim, w *world) { w.tracees[program] = 0 },
			moves: []move{ends(program, stoppedBy(unix.SIGHUP)), ends(program, exited(0))},
			want:  []string{"detach 7 SIGHUP"},
		},
		{
			name: "a detach that is refused is in the log", level: LevelWarn,
			world: func(_ *shim, w *world) { w.tracees[9] = unix.EPERM },
			moves: []move{ends(9, stoppedBy(unix.SIGTRAP)), ends(program, exited(0))},
			want:  []string{"detach 9 SIGTRAP", "warn traced child not detached pid=9 err=operation not permitted"},
		},
		{
			name: "a stop of the program is not its end", level: LevelWarn,
			moves: []move{ends(program, stoppedBy(unix.SIGSTOP)), ends(9, stoppedBy(unix.SIGTSTP)), signalled(unix.SIGCONT), ends(program, exited(6))},
			want:  []string{"kill 7 SIGCONT"}, status: 6,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, w := newWorld(t, c.config, c.moves...)
			w.verbose = c.level
			s.prepareLines()
			if c.world != nil {
				c.world(s, w)
			}
			s.supervise()
			if status := s.report(); status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			s.drain()
			w.wants(c.want...)
			if took := w.clock - s.started; c.took > 0 && took != c.took {
				t.Errorf("it took %v, want %v", took, c.took)
			}
			if len(w.moves) > 0 {
				t.Errorf("%d moves are left", len(w.moves))
			}
		})
	}

	// The time before a stop signal must count neither for a program that was idle nor for
	// one that had just started.
	for _, idle := range []time.Duration{time.Millisecond, longestLap - 1, longestLap, time.Hour} {
		t.Run("a stop signal after "+idle.String()+" leaves the program all of its time", func(t *testing.T) {
			s, w := newWorld(t, stop(longestLap), signalled(unix.SIGTERM).in(idle))
			w.verbose = LevelError
			s.prepareLines()
			var took time.Duration
			s.kill = func(_ int, sig process.Signal) syscall.Errno {
				if sig == unix.SIGKILL {
					took = w.clock - s.started - idle
					w.moves = []move{ends(program, killed(sig))}
				}
				return 0
			}
			if s.supervise(); took != longestLap {
				t.Errorf("killed after %v, want %v", took, longestLap)
			}
		})
	}

	t.Run("a program that runs on is pinned once", func(t *testing.T) {
		s, w := newWorld(t, Config{}, signalled(unix.SIGHUP).in(settled-1), ends(program, exited(0)).in(time.Hour))
		w.verbose = LevelError
		s.prepareLines()
		s.settling = countdownOf(settled)
		s.supervise()
		w.wants("kill 7 SIGHUP", "pin")
	})

	t.Run("the deadline is looked at before the signals that wait", func(t *testing.T) {
		s, w := newWorld(t, stop(second), append([]move{signalled(unix.SIGTERM)}, stream(10_000, time.Millisecond)...)...)
		w.verbose, w.mortal = LevelError, false
		s.prepareLines()
		var at time.Duration
		kill := s.kill
		s.kill = func(pid int, sig process.Signal) syscall.Errno {
			if sig == unix.SIGKILL {
				at = w.clock - s.started
				w.moves = []move{ends(program, killed(sig))}
			}
			return kill(pid, sig)
		}
		s.supervise()
		if at < second || at > second+10*time.Millisecond {
			t.Errorf("killed after %v", at)
		}
	})
}

// A stream of orphans must not keep the shim from signals and deadlines.
func TestOrphansWithoutEnd(t *testing.T) {
	orphans := func(n int) (exits []reaper.Exit) {
		for i := range n {
			exits = append(exits, reaper.Exit{PID: 100 + i, Status: exited(0)})
		}
		return exits
	}
	// There is always an orphan to reap. In the log each line takes nearly as long as a
	// write may take.
	endless := func(t *testing.T, config Config, write time.Duration, moves ...move) (*shim, *world) {
		s, w := newWorld(t, config, moves...)
		w.verbose, w.write = LevelWarn, write
		s.prepareLines()
		reap := s.reap
		s.reap = func(stops bool, fn func(reaper.Exit) bool) (left, more bool) {
			if w.clock += time.Millisecond; w.clock > s.started+time.Minute {
				t.Fatal("it does not come to an end")
			}
			if len(w.ended) < 2 {
				w.ended = append(w.ended, orphans(2*mostReaped)...)
			}
			return reap(stops, fn)
		}
		return s, w
	}
	for _, c := range []struct {
		name   string
		config Config
		write  time.Duration
	}{
		{"without lines", Config{StopTimeout: time.Second}, 0},
		{"with lines that a slow reader takes", Config{StopTimeout: time.Second, WarnOnReap: true}, 99 * time.Millisecond},
	} {
		t.Run("a signal is forwarded and the deadline is kept "+c.name, func(t *testing.T) {
			// The first SIGCHLD starts the stream.
			s, w := endless(t, c.config, c.write, ends(100, exited(0)), signalled(unix.SIGTERM))
			began, asked, at := w.clock, time.Duration(0), time.Duration(0)
			s.kill = func(_ int, sig process.Signal) syscall.Errno {
				switch sig {
				case unix.SIGTERM:
					asked = w.clock - began
				case unix.SIGKILL:
					at = w.clock - began
					w.ended = []reaper.Exit{{PID: program, Status: killed(sig)}}
				}
				return 0
			}
			s.supervise()
			// The last line of a pass begins just in time. Two passes come before TERM, one
			// before the first signal and one after SIGCHLD.
			const pass = 2 * tick
			if asked == 0 || asked > 2*pass || at < asked+time.Second || at > asked+time.Second+pass {
				t.Errorf("TERM after %v, KILL after %v", asked, at)
			}
		})
	}

	t.Run("a stream of signals does not keep it from reaping on", func(t *testing.T) {
		moves := []move{ends(100, exited(0))}
		for range 1000 {
			moves = append(moves, signalled(40))
		}
		s, w := newWorld(t, Config{}, moves...)
		w.verbose = LevelError
		s.prepareLines()
		w.ended = append(orphans(3*mostReaped), reaper.Exit{PID: program, Status: exited(3)})
		s.supervise()
		if status := s.report(); status != 3 || len(w.moves) < 990 {
			t.Errorf("status %d, %d moves are left", status, len(w.moves))
		}
	})

	t.Run("no orphan waits for the next SIGCHLD, and each has its line where the reader is fast", func(t *testing.T) {
		const n = 5*mostReaped + 7
		s, w := newWorld(t, Config{WarnOnReap: true}, ends(9, exited(0)), ends(program, exited(0)).in(time.Hour))
		w.verbose, w.write = LevelWarn, mostTalk/mostReaped
		s.prepareLines()
		w.moves[0].do = func(w *world) { w.ended = orphans(n) }
		s.supervise()
		if len(w.trace) != n || w.clock-s.started > time.Hour+n*w.write {
			t.Errorf("%d lines in %v", len(w.trace), w.clock-s.started)
		}
	})

	t.Run("the lines of a pass take no longer than they may", func(t *testing.T) {
		s, w := newWorld(t, Config{WarnOnReap: true}, ends(program, exited(0)))
		w.verbose, w.write = LevelWarn, 30*time.Millisecond
		s.prepareLines()
		w.ended = orphans(mostReaped - 1)
		s.supervise()
		w.wants("warn reaped orphan pid=100 status=0", "warn reaped orphan pid=101 status=0",
			"warn reaped orphan pid=102 status=0", "warn reaped orphan pid=103 status=0")
	})

	t.Run("more children that have ended than a pass takes are nothing that is left", func(t *testing.T) {
		s, w := newWorld(t, Config{DrainTimeout: time.Second})
		w.ended = orphans(10*mostReaped + 1)
		w.verbose = LevelInfo
		s.prepareLines()
		s.drain()
		w.wants()
	})

	t.Run("the drain ends", func(t *testing.T) {
		s, w := endless(t, Config{DrainTimeout: time.Second}, 0)
		s.clock = stopwatch{now: s.now, last: s.now()}
		s.drain()
		if took := w.clock - s.started; took > time.Second+killGrace+3*tick {
			t.Errorf("it took %v", took)
		}
		w.wants("kill -1 SIGTERM", "kill -1 SIGCONT", "kill -1 SIGKILL", "warn processes are left after the drain timeout, killing them timeout=1s")
	})
}

// While a container is frozen, its time to stop stands still.
func TestFreezeStopsTheClock(t *testing.T) {
	for _, c := range []struct {
		name   string
		freeze time.Duration // begins after 0.5 s
		killed time.Duration // time of the kill, on a clock that also runs in the freeze
	}{
		{"without a freeze a second is a second", 0, time.Second},
		{"a freeze of an hour counts as the longest lap", time.Hour, time.Second + time.Hour - longestLap},
		{"so does one of a second", time.Second, 2*time.Second - longestLap},
	} {
		t.Run(c.name, func(t *testing.T) {
			thaw := signalled(unix.SIGUSR1).in(500 * time.Millisecond)
			thaw.do = func(w *world) { w.clock += c.freeze }
			s, w := newWorld(t, Config{StopTimeout: time.Second}, signalled(unix.SIGTERM), thaw)
			w.verbose, w.mortal = LevelError, false
			s.prepareLines()
			var at time.Duration
			s.kill = func(pid int, sig process.Signal) syscall.Errno {
				if sig == unix.SIGKILL {
					at = w.clock - s.started
					w.moves = []move{ends(program, killed(sig))}
				}
				return 0
			}
			s.supervise()
			if late := at - c.killed; late < 0 || late > tick {
				t.Errorf("killed after %v, want %v", at, c.killed)
			}
		})
	}
}

func TestClock(t *testing.T) {
	t.Run("a lap is at most the longest", func(t *testing.T) {
		now := time.Hour
		w := stopwatch{now: func() time.Duration { return now }, last: now}
		for _, c := range []struct{ passes, lap time.Duration }{
			{0, 0}, {time.Millisecond, time.Millisecond}, {longestLap, longestLap}, {time.Hour, longestLap}, {time.Second, longestLap}, {1, 1},
		} {
			now += c.passes
			if lap := w.lap(); lap != c.lap {
				t.Errorf("a lap of %v after %v, want %v", lap, c.passes, c.lap)
			}
		}
	})
	t.Run("a countdown that does not run is never over and waits for ever", func(t *testing.T) {
		var c countdown
		if c.spend(time.Hour); c.over() || c.limit() != process.Forever {
			t.Errorf("%+v, limit %v", c, c.limit())
		}
	})
	t.Run("a countdown waits a tick at the most, and what is left of it", func(t *testing.T) {
		c := countdownOf(time.Second)
		for _, step := range []struct {
			spend, limit time.Duration
			over         bool
		}{{0, tick, false}, {950 * time.Millisecond, 50 * time.Millisecond, false}, {50 * time.Millisecond, 0, true}} {
			if c.spend(step.spend); c.limit() != step.limit || c.over() != step.over {
				t.Errorf("after %v: limit %v, over %v", step.spend, c.limit(), c.over())
			}
		}
	})
}

// The shim allocates nothing while the program runs (docs/adr/0007-alone.md).
func TestSuperviseAllocatesNothing(t *testing.T) {
	needNative(t)
	s, w := newWorld(t, Config{StopTimeout: time.Second, WarnOnReap: true})
	sink := 0
	s.log = countingLog{&sink}
	s.prepareLines()
	exits := []reaper.Exit{{PID: 20, Status: exited(1)}, {PID: 21, Status: stoppedBy(unix.SIGTRAP)}}
	s.reap = func(_ bool, fn func(reaper.Exit) bool) (left, more bool) {
		for _, e := range exits {
			more = !fn(e)
		}
		return true, more
	}
	s.detach = func(int, process.Signal) (bool, syscall.Errno) { return true, unix.EPERM }
	s.kill = func(int, process.Signal) syscall.Errno { return unix.EPERM }
	s.clock = stopwatch{now: s.now, last: s.now()}
	answer := []byte("answer\n")
	talking := func(func() string, time.Duration, func() bool) []byte { return answer }
	silent := func(func() string, time.Duration, func() bool) []byte { return nil }
	s.ask = talking
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"forwarding that fails", func() { s.handle(process.Event{Signal: unix.SIGTERM, PID: 1 << 22, UID: 1 << 31}) }},
		{"dropping", func() { s.handle(process.Event{Signal: unix.SIGTTOU}) }},
		{"reaping", func() { s.handle(process.Event{Signal: unix.SIGCHLD}); s.reapAll() }},
		{"killing", func() { s.kill1(); s.ended = false }},
		{"an execve that failed", func() { s.cannotExecute(unix.ENOENT) }},
		{"an execve that failed, without an answer", func() { s.ask = silent; s.cannotExecute(unix.EACCES); s.ask = talking }},
		{"an execve that failed, under tini's names", func() { s.Tini, s.toldExec = true, false; s.cannotExecute(unix.EIO); s.Tini = false }},
		{"a binary for another machine", s.warnOfShell},
		{"the end", func() { s.report() }},
		{"the clock", func() { s.stopping.spend(s.clock.lap()); w.clock += time.Millisecond }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, c.do); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
	if sink == 0 {
		t.Error("no line was written")
	}
}

// countingLog counts the bytes of its lines.
type countingLog struct{ n *int }

func (l countingLog) Log(Level, string, ...any) {}
func (l countingLog) Notice(string, ...any)     {}
func (l countingLog) Line(level Level, msg string, facts ...any) *Line {
	return NewLine([]byte(render(level, msg, facts)), func(line []byte) { *l.n += len(line) })
}
func (l countingLog) ChildLine(level Level, msg string) *Line { return l.Line(level, msg) }
func (l countingLog) Render(Level, string, ...any) string     { return "answer\n" }

// needNative skips a test in builds with cgo or -race. The released binary has neither.
func needNative(t *testing.T) {
	t.Helper()
	if process.Lacks() == "without assembly" {
		t.Skip("a portable build keeps Go's runtime, which allocates")
	}
}
