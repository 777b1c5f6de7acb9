package process

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSignals(t *testing.T) {
	needNative(t)
	t.Run("a SIGPIPE and a SIGXFSZ of its own are dropped, those of another process are not", func(t *testing.T) {
		cmd := helper("own signals")
		cmd.Stderr = nil
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		next := func(want string) {
			t.Helper()
			if !lines.Scan() || lines.Text() != want {
				t.Errorf("%q, want %q", lines.Text(), want)
			}
		}
		next("window changed from itself: true")
		for sig, name := range map[Signal]string{unix.SIGPIPE: "broken pipe", unix.SIGXFSZ: "file size limit exceeded"} {
			if err := unix.Kill(cmd.Process.Pid, sig); err != nil {
				t.Fatal(err)
			}
			next(fmt.Sprintf("%s from its parent: true", name))
		}
		// A SIGURG may become one with a pending SIGURG of the scheduler, so send several.
		urge := time.NewTicker(20 * time.Millisecond)
		defer urge.Stop()
		heard := make(chan struct{})
		go func() {
			for {
				select {
				case <-urge.C:
					_ = unix.Kill(cmd.Process.Pid, unix.SIGURG)
				case <-heard:
					return
				}
			}
		}()
		next("urgent I/O condition from its parent: true")
		close(heard)
		_ = unix.Kill(cmd.Process.Pid, unix.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Run("real-time signals queue, faults that a process sends are dropped, what waits is told of", func(t *testing.T) {
		wants(t, helper("queue"),
			"none waits: true", "pending: true", "hangup", "signal 35", "signal 35", "signal 35", "signal 34", "profiling timer expired", "none waits: true")
	})
	t.Run("a descriptor that becomes readable is an event", func(t *testing.T) {
		wants(t, helper("watch"), "none", "changed", "none")
	})
	t.Run("a signal that is given back is os/signal's", func(t *testing.T) {
		wants(t, helper("give back"), "child exited")
	})
}

// This also holds in a build in which os/signal receives the signals.
func TestPortableAndNativeSignalsAgree(t *testing.T) {
	wants(t, helper("any build"), "none waits: true", "pending: true", "terminated", "user defined signal 1", "none waits: true")
}

func init() {
	claim := func() (*Signals, func()) {
		s := Claim()
		return s, func() {
			if e, ok := s.Next(Forever); ok {
				fmt.Println(e.Signal)
			}
		}
	}
	self := os.Getpid()
	none := func(s *Signals) {
		if errno := s.Refused(); errno != 0 {
			panic(errno)
		}
		_, ok := s.Next(0)
		fmt.Println("none waits:", !ok)
	}
	helpers["own signals"] = func() {
		s := Claim()
		var p [2]int
		must(unix.Pipe2(p[:], unix.O_CLOEXEC))
		must(unix.Close(p[0]))
		if _, err := unix.Write(p[1], []byte("x")); err != unix.EPIPE {
			panic(err)
		}
		must(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: 0}))
		file, err := os.CreateTemp("", "cgshim")
		must(err)
		must(os.Remove(file.Name()))
		if _, err := unix.Write(int(file.Fd()), []byte("x")); err != unix.EFBIG {
			panic(err)
		}
		// The kernel delivers the lowest signal first (signal(7)), so this one comes after
		// its own SIGPIPE and SIGXFSZ. A signal of the parent could become one with a
		// signal of its own that is still pending.
		must(unix.Kill(self, unix.SIGWINCH))
		for first := true; ; first = false {
			e, _ := s.Next(Forever)
			switch {
			case first:
				fmt.Printf("%v from itself: %v\n", e.Signal, int(e.PID) == self)
			case e.Signal == unix.SIGTERM:
				return
			default:
				fmt.Printf("%v from its parent: %v\n", e.Signal, int(e.PID) == os.Getppid() && int(e.UID) == os.Getuid())
			}
		}
	}
	helpers["queue"] = func() {
		s, next := claim()
		none(s)
		for _, sig := range []Signal{unix.SIGSEGV, unix.SIGABRT, unix.SIGILL, unix.SIGTRAP, unix.SIGBUS, unix.SIGFPE, unix.SIGSYS} {
			must(unix.Kill(self, sig))
		}
		must(unix.Kill(self, unix.SIGHUP))
		fmt.Println("pending:", s.Pending().Has(unix.SIGHUP) && !s.Pending().Has(unix.SIGINT))
		next()
		for range 3 {
			must(unix.Kill(self, 35))
		}
		for range 3 {
			next()
		}
		must(unix.Kill(self, 34))
		next()
		must(unix.Kill(self, unix.SIGPROF))
		next()
		none(s)
	}
	helpers["watch"] = func() {
		s := Claim()
		var p [2]int
		must(unix.Pipe2(p[:], unix.O_CLOEXEC))
		if errno := s.Watch(p[0]); errno != nil {
			panic(errno)
		}
		Alone() // before Alone, a thread of the runtime may take the signal
		say := func() {
			e, ok := s.Next(0)
			switch {
			case !ok:
				fmt.Println("none")
			case e.Signal == Changed:
				fmt.Println("changed")
			}
		}
		say()
		_, err := unix.Write(p[1], []byte("x"))
		must(err)
		say()
		say()
	}
	helpers["give back"] = func() {
		s := Claim()
		got := make(chan os.Signal, 1)
		signal.Notify(got, unix.SIGCHLD)
		s.Without(unix.SIGCHLD)
		must(unix.Kill(self, unix.SIGCHLD))
		for {
			if e, ok := s.Next(0); ok {
				fmt.Println("taken:", e.Signal)
			}
			select {
			case sig := <-got:
				fmt.Println(sig)
				return
			default:
				runtime.Gosched()
			}
		}
	}
	helpers["any build"] = func() {
		s, next := claim()
		none(s)
		must(unix.Kill(self, unix.SIGTERM))
		for !s.Pending().Has(unix.SIGTERM) { // os/signal takes a moment
			runtime.Gosched()
		}
		fmt.Println("pending: true")
		next()
		must(unix.Kill(self, unix.SIGUSR1))
		next()
		none(s)
	}
}
