package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// contained is a program under an init in a container that the test makes itself. The
// container has a cgroup with limits, and PID, mount and cgroup namespaces of its own. Its
// root directory is the machine's.
type contained struct {
	limits map[string]string
	set    string   // shell commands that run before the init
	init   []string // tini by default
	args   []string
	during func(dir string) error // runs on the host meanwhile
}

// onDisk skips a test unless the machine is the one for tests without a dockerd.
func onDisk(t *testing.T) {
	t.Helper()
	if os.Getenv(withPrograms) == "" {
		t.Skip("not on this machine: they have one of their own")
	}
}

const setUpContainer = `mount --make-rprivate / && mount -t proc proc /proc &&
	umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 99
`

// run runs the container and returns the exit status and all output.
func (c contained) run(t *testing.T) (status int, out string) {
	t.Helper()
	dir, err := os.MkdirTemp(cgroupRoot, "programs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := eventually(20*time.Second, func() (err error) { // the last processes may still be ending
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if e.IsDir() {
					err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
				}
			}
			return errors.Join(err, os.Remove(dir))
		})
		if err != nil {
			t.Error(err)
		}
	})
	for name, value := range c.limits {
		if err := os.WriteFile(dir+"/"+name, []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	init := c.init
	if init == nil {
		init = []string{"tini", "--"}
	}
	args := append([]string{"--cgroup", "bash", "-c", setUpContainer + c.set + `exec "$@"`, "bash"}, init...)
	cmd := exec.Command("unshare", append(args, c.args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if c.during != nil {
		if err := c.during(dir); err != nil {
			_ = cmd.Process.Kill()
			t.Error(err)
		}
	}
	_ = cmd.Wait()
	wait := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if wait.Signaled() {
		return 128 + int(wait.Signal()), said.String()
	}
	return wait.ExitStatus(), said.String()
}

// asGoProgram is the variable with which the test binary only says how many processors Go
// uses.
const asGoProgram = "CGSHIM_E2E_GO"

func goProgram() { fmt.Println("GOMAXPROCS", runtime.GOMAXPROCS(0), "of", runtime.NumCPU()) }

// A program that sizes itself by its cgroup must come to the same size as under tini. Under
// tini the program is in the container's own cgroup, and under cgshim it is in a leaf. The
// size must be another without limits in the leaf, or the test would show nothing.
func TestPrograms(t *testing.T) {
	onDisk(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]string{"memory.max": "512M", "cpu.max": "200000 100000"}
	for name, c := range map[string]struct {
		set        string
		args, says []string
	}{
		"JDK 17": {
			"",
			[]string{"/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "-XshowSettings:system", "-XX:+PrintFlagsFinal", "-version"},
			[]string{`Effective CPU Count: 2\n`, `Memory Limit: 512\.00M\n`, ` MaxHeapSize +=\s+134217728 `},
		},
		"Node 20": {
			"cd /trixie && for dir in proc sys dev; do mount --rbind /$dir $dir || exit 98; done\n",
			[]string{
				"chroot", "/trixie", "node", "-p",
				`"cpus " + os.availableParallelism() + "\nmemory " + process.constrainedMemory() + "\nheap " + v8.getHeapStatistics().heap_size_limit`,
			},
			[]string{`(?m)^memory 536870912$`, `(?m)^heap (2|3)\d{8}$`},
		},
		"Go": {
			"",
			[]string{"env", asGoProgram + "=1", self},
			[]string{`(?m)^GOMAXPROCS 2 of 4$`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			under := func(init ...string) []string {
				status, out := contained{limits: limits, set: c.set, init: init, args: c.args}.run(t)
				if status != 0 {
					t.Fatalf("%q: %d, %s", init, status, tail(out, 20))
				}
				var said []string
				for _, pattern := range c.says {
					said = append(said, regexp.MustCompile(pattern).FindString(out))
				}
				fmt.Printf("%s under %q: %q\n", name, init, said)
				return said
			}
			tini := under()
			ours := under(cgshim(), "--cgroup=require", "--")
			bare := under(cgshim(), "--cgroup=require", "--mirror-limits=off", "--")
			for i, pattern := range c.says {
				if tini[i] == "" || ours[i] != tini[i] {
					t.Errorf("%s: under tini %q, under cgshim %q", pattern, tini[i], ours[i])
				}
				if bare[i] != "" {
					t.Errorf("%s: %q without limits in the leaf: the test shows nothing", pattern, bare[i])
				}
			}
		})
	}
}

// inner starts a job as dockerd starts the process of an inner container. dockerd gives such
// a process the oom_score_adj 0, while the other processes of the container have kubelet's
// value. Most of the memory goes to a file in /dev/shm, so the job itself has less memory
// than kubelet's value adds to the score of another process.
const inner = `
	set -e
	mkdir /sys/fs/cgroup/inner
	bash -c 'echo 0 >/proc/self/oom_score_adj; echo $$ >/sys/fs/cgroup/inner/cgroup.procs
		busybox dd if=/dev/zero of=/dev/shm/job bs=1M count=150 2>/dev/null
		exec busybox tail /dev/zero' || echo "the job ended with $?"
	echo "the program goes on with $(cat /proc/self/oom_score_adj)"
`

// When a Burstable pod runs out of memory, the OOM killer kills the program and not the job,
// and with the program the container ends. If cgshim gives itself and the program a lower
// oom_score_adj, the OOM killer must kill the job.
func TestOOMScore(t *testing.T) {
	onDisk(t)
	for adj, alive := range map[string]bool{"keep": false, "-500": true} {
		c := contained{
			limits: map[string]string{"memory.max": "256M", "memory.swap.max": "0", "memory.oom.group": "1"},
			set:    "echo 847 >/proc/self/oom_score_adj || exit 98\n",
			init:   []string{cgshim(), "--cgroup=require", "--oom-group=0", "--oom-score-adj=" + adj, "--"},
			args:   []string{"bash", "-c", inner},
		}
		status, out := c.run(t)
		_ = os.Remove("/dev/shm/job")
		fmt.Printf("oom_score_adj %s: %d, %q\n", adj, status, out)
		if alive && (status != 0 || !strings.Contains(out, "the job ended with 137\nthe program goes on with "+adj+"\n")) ||
			!alive && (status != 137 || strings.Contains(out, "goes on")) {
			t.Errorf("%s: %d, %q", adj, status, out)
		}
	}
}

// A resize of the pod in place must reach the leaf while the program runs. kubelet then also
// sets memory.oom.group, which cgshim must set back to the value of --oom-group.
func TestResize(t *testing.T) {
	onDisk(t)
	c := contained{
		limits: map[string]string{"memory.max": "256M", "pids.max": "500"},
		init:   []string{cgshim(), "--cgroup=require", "--oom-group=0", "--"},
		args:   []string{"bash", "-c", `until [ "$(cat /sys/fs/cgroup/init/pids.max)" = 77 ]; do busybox sleep 0.1; done; exit 7`},
	}
	c.during = func(dir string) error {
		is := func(name, want string) error {
			return eventually(30*time.Second, func() error {
				if got := strings.TrimSpace(read(dir + "/" + name)); got != want {
					return fmt.Errorf("%s is %q, want %q", name, got, want)
				}
				return nil
			})
		}
		if err := is("init/memory.max", "268435456"); err != nil {
			return err
		}
		for _, change := range [][4]string{
			{"memory.max", "300M", "init/memory.max", "314572800"},
			{"memory.max", "max", "init/memory.max", "max"},
			{"cpu.max", "300000 100000", "init/cpu.max", "300000 100000"},
			{"memory.oom.group", "1", "memory.oom.group", "0"},
			{"pids.max", "77", "init/pids.max", "77"},
		} {
			if err := os.WriteFile(dir+"/"+change[0], []byte(change[1]), 0); err != nil {
				return err
			}
			if err := is(change[2], change[3]); err != nil {
				return err
			}
		}
		return nil
	}
	if status, out := c.run(t); status != 7 {
		t.Errorf("%d, %s", status, tail(out, 5))
	}
}
