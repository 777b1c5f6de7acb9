package process

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// text returns the string at p.
func text(p *byte) string { return unix.BytePtrToString(p) }

// stringsOf returns the strings of a list that ends with a null pointer.
func stringsOf(list []*byte) (found []string) {
	for _, p := range list {
		if p == nil {
			break
		}
		found = append(found, text(p))
	}
	return found
}

func TestNewProgram(t *testing.T) {
	p, errno := NewProgram([]string{"x", "", "a b"}, []string{"PATH=/a:/b", "", "A=1", "A=2"}, new(Signals))
	if errno != 0 {
		t.Fatal(errno)
	}
	if got := stringsOf(p.argv); !slices.Equal(got, []string{"x", "", "a b"}) || p.argv[3] != nil {
		t.Errorf("argv %q", got)
	}
	if got := stringsOf(p.envv); !slices.Equal(got, []string{"PATH=/a:/b", "", "A=1", "A=2"}) || p.envv[4] != nil {
		t.Errorf("envv %q", got)
	}
	var paths []string
	for _, path := range p.paths {
		paths = append(paths, text(path))
	}
	if !slices.Equal(paths, []string{"/a/x", "/b/x"}) {
		t.Errorf("paths %q", paths)
	}
	if text(p.shell[0]) != "/bin/sh" || p.shell[1] != nil || text(p.shell[2]) != "" || text(p.shell[3]) != "a b" || p.shell[4] != nil {
		t.Error("the arguments of /bin/sh")
	}
	if p.Failed() != 0 || p.ViaShell() || p.Terminal != -1 || p.Group {
		t.Errorf("%+v", p)
	}
	for _, bad := range [][]string{{"a\x00"}, {"a", "\x00"}} {
		if _, errno := NewProgram(bad, nil, new(Signals)); errno != unix.EINVAL {
			t.Errorf("%q: %v", bad, errno)
		}
	}
	if _, errno := NewProgram([]string{"a"}, []string{"A=\x00"}, new(Signals)); errno != unix.EINVAL {
		t.Error("a zero byte in the environment")
	}
	if _, errno := NewProgram([]string{"a"}, []string{"PATH=/a\x00b"}, new(Signals)); errno != unix.EINVAL {
		t.Error("a zero byte in PATH")
	}
}

func TestReplace(t *testing.T) {
	for _, c := range []struct {
		name     string
		env      []string
		value    string
		replaced int // index of the entry, or -1
	}{
		{"the value of this process", []string{"A=1", "LISTEN_PID=12", "B=2"}, "12", 1},
		{"another process's stays", []string{"LISTEN_PID=13"}, "12", -1},
		{"a longer number stays", []string{"LISTEN_PID=123"}, "12", -1},
		{"the first counts, as for getenv(3)", []string{"LISTEN_PID=13", "LISTEN_PID=12"}, "12", -1},
		{"only the first is replaced", []string{"LISTEN_PID=12", "LISTEN_PID=12"}, "12", 0},
		{"a name that only begins so", []string{"LISTEN_PIDFDID=12", "XLISTEN_PID=12"}, "12", -1},
		{"without a value to look for", []string{"LISTEN_PID="}, "", -1},
		{"no environment", nil, "12", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, errno := NewProgram([]string{"x"}, c.env, new(Signals))
			if errno != 0 {
				t.Fatal(errno)
			}
			buf := p.replace(c.env, "LISTEN_PID", c.value)
			if (buf != nil) != (c.replaced >= 0) {
				t.Fatalf("replaced: %v", buf != nil)
			}
			want := slices.Clone(c.env)
			for _, n := range []uint64{7, 4194304, 1<<64 - 1} {
				if c.replaced >= 0 {
					decimal(buf, n)
					want[c.replaced] = fmt.Sprintf("LISTEN_PID=%d", n)
				}
				if got := stringsOf(p.envv); !slices.Equal(got, want) {
					t.Errorf("%q, want %q", got, want)
				}
			}
		})
	}
}

func TestEnviron(t *testing.T) {
	if got, want := Environ(), os.Environ(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if isOriginal("x") {
		t.Error("a string of this binary is one of the kernel's")
	}
}

func TestCstring(t *testing.T) {
	for _, s := range []string{"", "x", strings.Repeat("y", 10_000)} {
		p, errno := cstring(s)
		if errno != 0 || text(p) != s || unsafe.StringData(s) == p && s != "" {
			t.Errorf("%q, %v", text(p), errno)
		}
	}
}

// A program starts another program, as PID 1 does.
func TestSpawn(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string, mode os.FileMode) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return file
	}
	script, data := put("script", "exit 6\n", 0o755), put("data", "x", 0o644)
	for _, c := range []struct{ name, program, want, path string }{
		{name: "the program runs in its directory and group, with its number in LISTEN_PID", program: "/proc/self/exe", want: "status 0x500, failed none, by /bin/sh false, here /"},
		{name: "no such file", program: "/no/such", want: "status 0x7f00, failed ENOENT, by /bin/sh false, here /"},
		{name: "a file that may not be executed", program: data, want: "status 0x7f00, failed EACCES, by /bin/sh false, here /"},
		{name: "a file in no format is /bin/sh's", program: script, want: "status 0x600, failed none, by /bin/sh true, here /"},
		{name: "PATH is searched beyond a directory without the file", program: "script", path: "/no/such:" + dir, want: "status 0x600, failed none, by /bin/sh true, here /"},
		{name: "what may not be executed counts more than what is missing", program: "data", path: dir + ":/no/such", want: "status 0x7f00, failed EACCES, by /bin/sh false, here /"},
	} {
		for _, alone := range []string{"", "1"} {
			t.Run(c.name+", alone "+alone, func(t *testing.T) {
				cmd := helper("spawn", "PROGRAM="+c.program, "ALONE="+alone, "SEARCH="+c.path)
				cmd.Dir = dir
				wants(t, cmd, c.want)
			})
		}
	}
	t.Run("an exec that fails returns", func(t *testing.T) {
		wants(t, helper("exec", "PROGRAM=/no/such"), "no such file or directory")
	})
	t.Run("an exec keeps the process", func(t *testing.T) {
		cmd := helper("exec", "PROGRAM=/bin/sh", "PATH="+os.Getenv("PATH"))
		if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != fmt.Sprint(cmd.Process.Pid) {
			t.Errorf("%q, %v", out, err)
		}
	})
}

func init() {
	helpers["spawn"] = func() {
		s := Claim()
		directory, err := os.Getwd()
		must(err)
		env := []string{helperEnv + "=spawned", "DIRECTORY=" + directory, fmt.Sprintf("LISTEN_PID=%d", os.Getpid()), "LISTEN_FDS=1", "PATH=" + os.Getenv("SEARCH")}
		p, errno := NewProgram([]string{os.Getenv("PROGRAM"), "argument"}, env, s)
		if errno != 0 {
			panic(errno)
		}
		p.NameChild(env)
		p.Group = true
		if os.Getenv("ALONE") != "" {
			Alone()
		}
		pid, errno := p.Spawn()
		if errno != 0 {
			panic(errno)
		}
		var status unix.WaitStatus
		_, err = unix.Wait4(pid, &status, 0, nil)
		must(err)
		here, err := unix.Getwd()
		must(err)
		failed := "none"
		if p.Failed() != 0 {
			failed = unix.ErrnoName(p.Failed())
		}
		fmt.Printf("status %#x, failed %s, by /bin/sh %v, here %s\n", uint32(status), failed, p.ViaShell(), here)
	}
	helpers["spawned"] = func() {
		directory, err := unix.Getwd()
		must(err)
		if directory != os.Getenv("DIRECTORY") || unix.Getpgrp() != os.Getpid() || os.Getenv("LISTEN_PID") != fmt.Sprint(os.Getpid()) ||
			os.Getenv("LISTEN_FDS") != "1" || !slices.Equal(os.Args[1:], []string{"argument"}) {
			fmt.Println(directory, unix.Getpgrp(), os.Getpid(), os.Environ(), os.Args)
			syscall.Exit(1)
		}
		syscall.Exit(5)
	}
	helpers["exec"] = func() {
		s := Claim()
		p, errno := NewProgram([]string{os.Getenv("PROGRAM"), "-c", "echo $$"}, nil, s)
		if errno != 0 {
			panic(errno)
		}
		fmt.Println(p.Exec())
	}
}

// A process that has made this process its tracer goes on, with the signal that stopped
// it.
func TestDetach(t *testing.T) {
	wants(t, helper("tracer"),
		"a signal: stopped by user defined signal 1, traced true, no error; it exits with 9",
		"its own SIGTRAP, as after execve(2): stopped by trace/breakpoint trap, traced true, no error; it exits with 5",
		"a stop that is no trace: stopped by stopped (signal), traced false, no such process; it exits with 5")
}

func init() {
	helpers["tracer"] = func() {
		for _, c := range []struct {
			name, tracee string
		}{{"a signal", "10"}, {"its own SIGTRAP, as after execve(2)", "5"}, {"a stop that is no trace", "19"}} {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = []string{helperEnv + "=tracee", "SIGNAL=" + c.tracee}
			must(cmd.Start())
			pid := cmd.Process.Pid
			var status unix.WaitStatus
			_, err := unix.Wait4(pid, &status, unix.WUNTRACED, nil)
			must(err)
			sig := status.StopSignal()
			traced, errno := Detach(pid, sig)
			result := "no error"
			if errno != 0 {
				result = errno.Error()
			}
			fmt.Printf("%s: stopped by %v, traced %v, %s", c.name, sig, traced, result)
			must(unix.Kill(pid, unix.SIGCONT))
			_, err = unix.Wait4(pid, &status, 0, nil)
			must(err)
			fmt.Printf("; it exits with %d\n", status.ExitStatus())
		}
	}
	helpers["tracee"] = func() {
		got := make(chan os.Signal, 1)
		signal.Notify(got, unix.SIGUSR1, unix.SIGTRAP)
		sig, err := ParseSignal(os.Getenv("SIGNAL"))
		must(err)
		if sig != unix.SIGSTOP {
			_, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_TRACEME, 0, 0, 0, 0, 0)
			if errno != 0 {
				panic(errno)
			}
		}
		must(unix.Kill(os.Getpid(), sig)) // the kernel prefers the main thread, which is traced
		if sig == unix.SIGUSR1 {
			<-got
			syscall.Exit(9)
		}
		for range 1000 { // a delivered SIGTRAP would have come by now
			runtime.Gosched()
		}
		if len(got) > 0 {
			syscall.Exit(1)
		}
		syscall.Exit(5)
	}
}
