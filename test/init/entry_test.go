package init

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// ends runs a command and compares its end.
func ends(t *testing.T, name string, r *lab.Run, status int, stdout, stderr string, lines int) {
	t.Helper()
	got := r.Do(t)
	said := r.Stderr.String()
	if got != status || !strings.Contains(r.Stdout.String(), stdout) || !strings.Contains(said, stderr) || strings.Count(said, "\n") != lines {
		t.Errorf("%s: %d and not %d, %q, %q", name, got, status, r.Stdout.String(), said)
	}
}

// running returns PID 1 of the container after it has started its program.
func (c *container) running(command ...string) *lab.Run {
	c.t.Helper()
	r := c.pid1(command...)
	r.Start(c.t)
	last := command[len(command)-1]
	lab.Until(c.t, command[0], func() bool {
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(r.PID()) + "/cmdline")
		return strings.HasPrefix(string(data), command[0]) && strings.HasSuffix(string(data), last+"\x00")
	})
	return r
}

// exec returns a command that starts in a container. It joins the PID and mount
// namespaces and the cgroup of PID 1, but not the cgroup namespace. runc does the same
// if the container has the host's cgroup namespace.
func (c *container) exec(pid int, command ...string) *lab.Run {
	c.t.Helper()
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		c.t.Fatal(err)
	}
	_, own, _ := strings.Cut(string(data), "0::/")
	own = strings.TrimPrefix(strings.TrimSpace(own), c.name)
	// nsenter waits outside. Writing 0 moves the writer (cgroups(7)).
	join := `for base in /sys/fs/cgroup/` + c.name + ` /sys/fs/cgroup; do echo 0 2>&- >$base` + own + `/cgroup.procs && exec "$0" "$@"; done 2>&-`
	join = strings.ReplaceAll(join, `exec "$0" "$@"`, `exec "$0" "$@" 2>&3`)
	return &lab.Run{Path: "/usr/bin/nsenter", Args: append([]string{"-p", "-m", "-t", strconv.Itoa(pid), "sh", "-c", "exec 3>&2; " + join}, command...)}
}

// untouched checks that the container's cgroup is unchanged.
func (c *container) untouched() {
	c.t.Helper()
	entries, err := filepath.Glob(c.dir + "/*/")
	if err != nil || len(entries) > 0 {
		c.t.Errorf("%q, %v", entries, err)
	}
}

// `docker run --init` and similar options start cgshim as the program of another init.
func TestTheEntryPointBesideAnInitActs(t *testing.T) {
	for name, init := range map[string][]string{
		"tini":            {lab.Tini, "--"},
		"dumb-init":       {lab.DumbInit, "--"}, // starts its program in a session of its own
		"a script's last": {"/bin/sh", "-c", `"$0" "$@"; exit $?`},
		"with a terminal": {lab.Tini, "-g", "--"},
	} {
		c := newContainer(t)
		ends(t, name, c.pid1(append(init, lab.Cgshim(t), "--", "cat", "/proc/self/cgroup")...), 0, "0::/init\n", "cgroup delegated", 1)
	}
}

// An exec into a running container does nothing. It logs this if the user asked for a
// delegation.
func TestAnExecDoesNotAct(t *testing.T) {
	c := newContainer(t)
	pid := c.running("sleep", "1000").PID()
	for _, asked := range []struct {
		name string
		args []string
		env  string
		said int
	}{
		{"unasked", nil, "", 0},
		{"--cgroup", []string{"--cgroup=auto"}, "", 1},
		{"CGSHIM_CGROUP", nil, "CGSHIM_CGROUP=auto", 1},
		{"CGSHIM_DIND", nil, "CGSHIM_DIND=1", 1}, // makes the mounts shared, so it needs a container of its own
	} {
		c, pid := c, pid
		if asked.name == "CGSHIM_DIND" {
			c = newContainer(t)
			pid = c.running("sleep", "1000").PID()
		}
		r := c.exec(pid, append(append([]string{lab.Cgshim(t)}, asked.args...), "--", "sh", "-c", "exit 7")...)
		r.Env = append(lab.Environ(), asked.env)
		said := ""
		if asked.said > 0 {
			said = `"state": "not PID 1"`
		}
		ends(t, asked.name, r, 7, "", said, asked.said)
		check := c.exec(pid, lab.Cgshim(t), "--check")
		ends(t, asked.name+": --check", check, 1, "has not delegated its cgroup", "", 0)
		for _, wrong := range []string{"will be created", "delegated already", "a change could reach the host"} {
			if strings.Contains(check.Stdout.String(), wrong) {
				t.Errorf("%s: %q is in\n%s", asked.name, wrong, check.Stdout.String())
			}
		}
		c.untouched()
	}
	// With an explicit option it acts in any process.
	ends(t, "require", c.exec(pid, lab.Cgshim(t), "--cgroup=require", "-x", "cat", "/proc/self/cgroup"), 0, "0::/init\n", "cgroup delegated", 1)
	ends(t, "again", c.exec(pid, lab.Cgshim(t), "--cgroup=require-v2", "-x", "cat", "/proc/self/cgroup"), 0, "0::/init\n", "", 0)
	ends(t, "--check after that", c.exec(pid, lab.Cgshim(t), "--check"), 0, "delegated already", "", 0)
	ends(t, "unasked after that", c.exec(pid, lab.Cgshim(t), "true"), 0, "", "", 0)
}

// The containers of a pod share the PID namespace of its pause program. A container may
// also share the PID namespace of another (docker run --pid=container:NAME).
func TestTheEntryPointInASharedPIDNamespaceActs(t *testing.T) {
	pause := pid1(t, "--pause")
	pause.Start(t)
	start := func(c *container, command ...string) *lab.Run {
		return &lab.Run{Path: "/usr/bin/nsenter", Args: append([]string{
			"-p", "-t", strconv.Itoa(pause.PID()), "unshare", "-m", "sh", "-c",
			mounts() + "echo 0 >/sys/fs/cgroup/" + c.name + `/cgroup.procs && exec "$0" "$@"`,
		}, command...)}
	}
	c := newContainer(t)
	ends(t, "entry point", start(c, lab.Cgshim(t), "--", "cat", "/proc/self/cgroup"), 0, "0::/init\n", "cgroup delegated", 1)

	for mode, want := range map[string]struct {
		status int
		text   string
	}{"auto": {0, "delegated already"}, "off": {1, "has not delegated its cgroup"}} {
		c := newContainer(t)
		r := start(c, lab.Cgshim(t), "--cgroup="+mode, "--", "sleep", "7391")
		r.Start(t)
		entry := 0 // nsenter waits for its child
		lab.Until(t, "the program", func() bool {
			procs, _ := os.ReadFile(c.dir + "/cgroup.procs")
			leaf, _ := os.ReadFile(c.dir + "/init/cgroup.procs")
			for _, pid := range strings.Fields(string(procs) + string(leaf)) {
				if line, _ := os.ReadFile("/proc/" + pid + "/cmdline"); string(line) == "sleep\x007391\x00" {
					entry, _ = strconv.Atoi(pid)
				}
			}
			return entry > 0
		})
		exec := func(args ...string) *lab.Run { return c.exec(entry, append([]string{lab.Cgshim(t)}, args...)...) }
		ends(t, mode+": an exec", exec("--cgroup=auto", "true"), 0, "", `"state": "not PID 1"`, 1)
		check := exec("--check")
		ends(t, mode+": --check", check, want.status, want.text, "", 0)
		if !strings.Contains(check.Stdout.String(), "running container") {
			t.Error(check.Stdout.String())
		}
		if mode == "off" {
			c.untouched()
		}
		pid, _ := os.ReadFile("/proc/" + strconv.Itoa(entry) + "/stat")
		parent, _ := strconv.Atoi(strings.Fields(string(pid)[strings.LastIndex(string(pid), ")")+1:])[1])
		kill(t, parent, 9)
		kill(t, entry, 9)
		r.Wait(t)
	}
}

// If nothing keeps the cgroup namespace of a delegation, no process can join it.
func TestRequireNeverStartsInTheWrongNamespace(t *testing.T) {
	c := newContainer(t)
	pid := c.running("/bin/sh", "-c", `mount -o remount,ro /run && mount -o remount,ro /dev/shm && exec "$0" "$@"`, "sleep", "1000").PID()
	lab.Until(t, "sleep", func() bool {
		data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
		return string(data) == "sleep\x001000\x00"
	})
	ends(t, "first", c.exec(pid, lab.Cgshim(t), "--cgroup=require", "-x", "cat", "/proc/self/cgroup"), 0, "0::/init\n", "make /run or /dev/shm writable", 2)
	ends(t, "require", c.exec(pid, lab.Cgshim(t), "--cgroup=require", "-x", "echo", "ran"), 125, "", "stays in the host's cgroup namespace", 1)
	ends(t, "auto", c.exec(pid, lab.Cgshim(t), "--cgroup=auto", "-x", "echo", "ran"), 0, "ran", "stays in the host's cgroup namespace", 1)
}

// Without cgroup v2, require-v2 requires nothing.
func TestRequireV2OnAV1Host(t *testing.T) {
	lab.Root(t)
	for mode, want := range map[string]int{"require": 125, "require-v2": 7} {
		r := &lab.Run{Path: "/bin/sh", PID1: true, Args: []string{
			"-c", `mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs cgroup /sys/fs/cgroup && mkdir /sys/fs/cgroup/named &&
				mount -t cgroup -o none,name=cgshim-test cgroup /sys/fs/cgroup/named && exec "$0" "$@"`, lab.Cgshim(t), "--cgroup=" + mode, "--", "sh", "-c", "exit 7",
		}}
		r.Attr.Cloneflags = syscall.CLONE_NEWNS
		ends(t, mode, r, want, "", "", want/100)
	}
}

// With --quiet only warnings and errors appear.
func TestQuiet(t *testing.T) {
	for _, args := range [][]string{{"--quiet"}, nil} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			c := newContainer(t)
			r := c.pid1(append(append([]string{lab.Cgshim(t)}, args...), "--", "true")...)
			if args == nil {
				r.Env = append(lab.Environ(), "CGSHIM_QUIET=1")
			}
			ends(t, "delegated", r, 0, "", "", 0)
		})
	}
	ends(t, "not delegated", busy(t, "--quiet", "--cgroup-timeout=100ms", "--", "true"), 0, "", "cgroup not delegated", 1)
}

// A process may have any name, but no name can look like a line of --check.
func TestCheckQuotesWhatComesFromTheContainer(t *testing.T) {
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	forged := t.TempDir() + "/x\nverdict \x1b[2K"
	if err := os.WriteFile(forged, sleep, 0o755); err != nil {
		t.Fatal(err)
	}
	c := newContainer(t)
	r := c.pid1(lab.Cgshim(t), "--", forged, "1000")
	r.Start(t)
	lab.Until(t, "the program", func() bool {
		procs, _ := os.ReadFile(c.dir + "/init/cgroup.procs")
		for _, pid := range strings.Fields(string(procs)) {
			if comm, _ := os.ReadFile("/proc/" + pid + "/comm"); strings.HasPrefix(string(comm), "x\n") {
				return true
			}
		}
		return false
	})
	check := c.exec(r.PID(), lab.Cgshim(t), "--check")
	ends(t, "--check", check, 0, `"x\nverdict \x1b`, "", 0)
	out := check.Stdout.String()
	if strings.Count("\n"+out, "\nverdict") != 1 || strings.Contains(out, "\x1b") {
		t.Errorf("%q", out)
	}
}
