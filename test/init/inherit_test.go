package init

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// The child of cgshim, and what -x becomes, have every bit of what they would have
// had without it.
func TestInheritanceIsExact(t *testing.T) {
	lab.Root(t)
	probe, cgshim := lab.Probe(t), lab.Cgshim(t)
	extra, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	state := func(dir string, args ...string) string {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = []string{"A=1", "PATH=/bin", "EMPTY="}
		cmd.ExtraFiles = []*os.File{extra, extra}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		// The output is a pipe of its own each time.
		var kept []string
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "fd 1 ") || strings.HasPrefix(line, "fd 2 ") {
				f := strings.Fields(line)
				line = strings.Join(append(f[:2], f[3:]...), " ") + "\n"
			}
			kept = append(kept, line)
		}
		return strings.Join(kept, "")
	}
	sets := []uint64{
		0, 1 << 14, 1 << 22, 0x5a5a5a5a5a5a5a5a, 0xa5a5a5a5a5a5a5a5, ^uint64(0),
		1<<0 | 1<<1 | 1<<12 | 1<<16, 1<<26 | 1<<31 | 1<<32 | 1<<33, 1<<3 | 1<<10 | 1<<20 | 1<<21,
	}
	for _, blocked := range sets {
		for _, ignored := range sets {
			launch := []string{probe, "with", fmt.Sprintf("%x", blocked), fmt.Sprintf("%x", ignored), "777"}
			want := state("/usr", append(launch, probe, "state")...)
			for _, init := range [][]string{{cgshim, "--cgroup=off", "--"}, {cgshim, "-x", "--"}} {
				got := state("/usr", append(append(launch, init...), probe, "state")...)
				if got != want {
					t.Fatalf("%q, blocked %x, ignored %x:\n%s\nwant\n%s", init, blocked, ignored, got, want)
				}
			}
		}
	}
}

func TestUmaskAndOOMScoreAreInherited(t *testing.T) {
	lab.Root(t)
	script := "umask 027; echo 321 >/proc/self/oom_score_adj; ulimit -c 0; exec "
	want, err := exec.Command("sh", "-c", script+lab.Probe(t)+" state").Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command("sh", "-c", script+lab.Cgshim(t)+" "+lab.Probe(t)+" state").Output()
	if err != nil {
		t.Fatal(err)
	}
	pick := func(out []byte) (lines []string) {
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "Umask") || strings.HasPrefix(line, "Max core") || strings.TrimSpace(line) == "321" {
				lines = append(lines, line)
			}
		}
		return lines
	}
	if w, g := fmt.Sprint(pick(want)), fmt.Sprint(pick(got)); w != g || !strings.Contains(g, "321") || !strings.Contains(g, "0027") {
		t.Errorf("%s, want %s", g, w)
	}
}

// sd_listen_fds(3) wants LISTEN_PID to be the PID of the one who asks.
func TestListenPID(t *testing.T) {
	r := pid1(t, "--", "sh", "-c", "echo $LISTEN_PID $$ $LISTEN_FDS")
	r.Env = []string{"PATH=/bin", "LISTEN_PID=1", "LISTEN_FDS=2"}
	status := r.Do(t)
	var listen, own, fds string
	if _, err := fmt.Sscan(r.Stdout.String(), &listen, &own, &fds); err != nil || status != 0 || listen != own || fds != "2" {
		t.Errorf("%d, %q, %v", status, r.Stdout.String(), err)
	}
	other := pid1(t, "--", "sh", "-c", "echo $LISTEN_PID")
	other.Env = []string{"PATH=/bin", "LISTEN_PID=77"}
	if other.Do(t); other.Stdout.String() != "77\n" {
		t.Errorf("somebody else's LISTEN_PID became %q", other.Stdout.String())
	}
}

// After the child has started the init pins neither a directory nor a descriptor.
func TestInitLetsGo(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	r := pid1(t, "--", "sleep", "1000")
	r.Dir, r.Extra = t.TempDir(), []*os.File{write}
	r.Start(t)
	write.Close()
	child := r.Child(t)
	proc := func(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
	lab.Until(t, "the init to change its directory", func() bool {
		dir, _ := os.Readlink(proc(r.PID(), "cwd"))
		return dir == "/"
	})
	lab.Until(t, "the init to close its descriptors", func() bool {
		entries, err := os.ReadDir(proc(r.PID(), "fd"))
		return err == nil && len(entries) == 3
	})
	if dir, _ := os.Readlink(proc(child, "cwd")); dir != r.Dir {
		t.Errorf("the child is in %s", dir)
	}
	if _, err := os.Stat(proc(child, "fd/3")); err != nil {
		t.Errorf("the child has lost its descriptor: %v", err)
	}
}

// Any of the three standard descriptors may be closed.
func TestClosedStdio(t *testing.T) {
	lab.Root(t)
	for set := range 8 {
		redirect := ""
		for fd, op := range []string{"<&-", ">&-", ">&-"} {
			if set>>fd&1 == 1 {
				redirect += fmt.Sprintf(" %d%s", fd, op)
			}
		}
		script := "exec " + lab.Cgshim(t) + " --cgroup=off -- sh -c 'exit 7'" + redirect
		r := lab.Run{Path: "/bin/sh", Args: []string{"-c", script}, PID1: true}
		if status := r.Do(t); status != 7 {
			t.Errorf("with%s: %d, %q", redirect, status, r.Stderr.String())
		}
	}
}
