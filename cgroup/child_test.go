package cgroup

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These tests make changes that cannot be undone. So each test runs the plan in a
// child, which is this binary again. The child is PID 1 of a new PID and mount
// namespace, starts in a cgroup of its own, and prints an outcome for the test.
//
// The tests need root and a cgroup2 hierarchy. In a VM that is the VM's own. On a
// hybrid host it is the one at /sys/fs/cgroup/unified, in which hugetlb is a real
// domain controller.

const childEnv = "CGSHIM_TEST_CHILD"

func init() {
	if os.Getenv(childEnv) != "" {
		runtime.LockOSThread() // namespaces belong to the main thread
	}
}

// child tells the re-executed binary what to do.
type child struct {
	Setup   []string // functions of setups, in order
	Options Options
	Faults  []fault
	Twice   bool
	Command []string // command to run after a delegation
	Follow  bool     // follow the limits afterwards, until the leaf may have lastPIDs processes
	Others  bool     // afterwards start a process in a cgroup beside the leaf, and call KillOthers
	Enter   []string // afterwards clone a process into each of these cgroups of the container
	Hide    string   // directory that appears empty meanwhile
	Watch   bool     // look at the mount all the time
	Idle    bool     // make no delegation, for cases with Exec
	Bare    bool     // keep the mounts that it was started with
	Exec    []child  // run these afterwards as processes of the container, in the cgroup namespace of the start
	AtOnce  bool     // run all Exec at the same time, so that none ends before the others
	Inner   *child   // run this afterwards as an inner container, in the cgroup namespace of this one
	SetUp   bool     // call setUp, not Apply on one plan
	Dies    int      // die before this system call of the run, with SetUp
	Helper  bool     // only the run dies, as a helper of PID 1 does, and its process goes on
	Then    string   // what comes next: "again", "undo", or with Helper "undo, again"
	Waits   bool     // wait for the end of the input before the end
}

// outcome is the child's observations.
type outcome struct {
	State   State
	Skip    bool
	Reason  string
	Err     string
	Hint    string
	Report  Report
	Missing []string
	Warned  []string
	Before  view
	After   view
	Calls   map[string]int
	Output  string
	Again   State             // with Twice
	Points  points            // with SetUp
	End     view              // after everything
	Kept    []string          // files in /run/cgshim at the end
	Killed  string            // with Others: how the other process ended
	Entered map[string]string // with Enter: what happened
	OOM     uint64
	Leaf    map[string]string // limits of the leaf
	Busy    bool              // with Follow: events were left at the end
	Limits  Limits
	Looks   int // with Watch: number of looks
	Gaps    int // with Watch: looks without a cgroup2
	Exec    []outcome
	Inner   *outcome
	Dead    bool      // the child was killed
	Host    [2]string // mounts of the namespace that sharedWithAHost has left behind, before and afterwards
	Said    string    // its standard error
}

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		runChild(spec)
		return
	}
	status := m.Run()
	restoreTop()
	os.Exit(status)
}

func runChild(spec string) {
	var c child
	if err := json.Unmarshal([]byte(spec), &c); err != nil {
		panic(err)
	}
	if os.Getpid() == 1 && !c.Bare {
		must("private mounts", unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""))
		must("mount proc", unix.Mount("proc", "/proc", "proc", 0, ""))
		must("mount run", unix.Mount("tmpfs", "/run", "tmpfs", 0, ""))
		must("mount shm", unix.Mount("tmpfs", "/dev/shm", "tmpfs", 0, ""))
	}
	start, err := os.Open("/proc/self/ns/cgroup")
	must("open", err)
	for _, name := range c.Setup {
		setup, ok := setups[name]
		if !ok {
			panic("no setup " + name)
		}
		setup()
	}
	before, err := os.Open("/proc/self/ns/cgroup")
	must("open", err)
	out := outcome{Calls: map[string]int{}}
	out.Before = look(cmp.Or(c.Options.Leaf, leafA))
	k := faulty(c.Faults, out.Calls)
	if c.Hide != "" {
		must("hide", unix.Mount("tmpfs", c.Hide, "tmpfs", 0, ""))
	}
	stopWatch := func() {}
	if c.Watch {
		stopWatch = watch(&out)
	}
	var report *Report
	p := Decide(Observe(), c.Options)
	var follower *Follower
	switch {
	case c.Then == "undo" && !c.Helper:
		err = k.undo(c.Options)
	case c.SetUp:
		die := func() { must("kill", unix.Kill(os.Getpid(), unix.SIGKILL)) }
		if c.Helper {
			die = func() { panic(deadHelper{}) }
		}
		d := dying(k, c.Dies, die, &out.Points)
		surviving(func() { p, report, err = d.setUp(c.Options) })
		if strings.HasPrefix(c.Then, "undo") {
			err = c.undoInPID1(k, before)
		}
		if strings.HasSuffix(c.Then, "again") && err == nil {
			p, report, err = k.setUp(c.Options)
		}
	case p.Refusal == nil && !c.Idle:
		report, err = p.apply(k)
	}
	out.State, out.Limits = p.State, p.Container.Limits()
	if out.Skip = p.Refusal != nil; out.Skip {
		out.Reason = p.Refusal.Reason
	}
	if report != nil {
		if c.Follow {
			follower, err = report.Follow()
		}
		out.Report = *report
		for name := range report.Missing {
			out.Missing = append(out.Missing, name)
		}
		for _, err := range report.Warnings {
			out.Warned = append(out.Warned, err.Error()+": "+Hint(err))
		}
		out.Report.Missing, out.Report.Warnings = nil, nil
	}
	if err != nil {
		out.Err, out.Hint = err.Error(), Hint(err)
	}
	stopWatch()
	if c.Hide != "" {
		must("show", unix.Unmount(c.Hide, unix.MNT_DETACH))
	}
	out.After = look(cmp.Or(c.Options.Leaf, leafA))
	out.Leaf = map[string]string{}
	for _, name := range MirrorLimits.files(false) {
		value, _ := os.ReadFile(witness + "/init/" + name)
		out.Leaf[name] = strings.TrimSpace(string(value))
	}
	if c.Twice {
		p := Decide(Observe(), c.Options)
		out.Again = p.State
		if _, err := p.apply(&linux); err != nil {
			out.Err = err.Error()
		}
		out.After = look(cmp.Or(c.Options.Leaf, leafA))
	}
	if len(c.Command) > 0 {
		b, err := exec.Command(c.Command[0], c.Command[1:]...).CombinedOutput()
		out.Output = string(b)
		if err != nil {
			out.Output += err.Error()
		}
	}
	if c.Follow {
		followUntilTheEnd(follower, &out)
	}
	if c.Others {
		out.Killed = killOthers()
	}
	out.Entered = map[string]string{}
	for _, group := range c.Enter {
		out.Entered[group] = enter(group)
	}
	out.Exec = runExecs(c, start)
	if c.Inner != nil {
		out.Inner = runInner(*c.Inner)
	}
	out.OOM, _ = OOMKills(true)
	if c.Follow { // nothing stays open in the mount
		must("umount", unix.Unmount(mountPoint, 0))
	}
	out.End = look(cmp.Or(c.Options.Leaf, leafA))
	out.Kept = namesIn(rooms[0])
	out.Host = [2]string{hostBefore, mountsOfTheHost()}
	data, err := json.Marshal(out)
	must("marshal", err)
	fmt.Println(string(data))
	if c.Waits {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(0)
}

// undoInPID1 does what PID 1 does after a helper was killed: it calls Undo in the namespace
// that it has, calls it again in the one before if that fails, and ends in the one that
// fits.
func (c child) undoInPID1(k *kernel, before *os.File) error {
	enter := func(namespace *os.File) { must("setns", unix.Setns(int(namespace.Fd()), unix.CLONE_NEWCGROUP)) }
	made, err := os.Open("/proc/self/ns/cgroup")
	must("open", err)
	if err = k.undo(c.Options); err != nil {
		enter(before)
		err = k.undo(c.Options)
	}
	enter(before)
	if Decide(Observe(), c.Options).State == Delegated {
		enter(made)
	}
	return err
}

// watch looks at the cgroup mount from another thread. Any process of the container may
// look at any time.
func watch(out *outcome) (stop func()) {
	var stopped atomic.Bool
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		for ; !stopped.Load(); out.Looks++ {
			var fs unix.Statfs_t
			if unix.Statfs(mountPoint+"/cgroup.controllers", &fs) != nil || int64(fs.Type) != unix.CGROUP2_SUPER_MAGIC {
				out.Gaps++
			}
			if out.Looks == 0 {
				close(ready)
			}
		}
		close(done)
	}()
	<-ready
	return func() {
		stopped.Store(true)
		<-done
	}
}

// A test and its child signal each other by files that have no other use here. The
// child says that it follows the limits, and the test says that the child may stop.
const (
	depthFile = mountPoint + "/init/cgroup.max.depth"
	lastPIDs  = "77"
)

// followUntilTheEnd is the part of PID 1's main loop that follows the limits.
func followUntilTheEnd(f *Follower, out *outcome) {
	wait := func(timeout int) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.FD()), Events: unix.POLLIN}}, timeout)
		for err == unix.EINTR {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(f.FD()), Events: unix.POLLIN}}, timeout)
		}
		must("poll", err)
		return n > 0
	}
	must("say so", os.WriteFile(depthFile, []byte("7"), 0))
	for {
		if !wait(60_000) {
			panic("nothing to follow for a minute")
		}
		_, _ = f.Update()
		last, err := os.ReadFile(mountPoint + "/init/pids.max")
		must("read", err)
		if strings.TrimSpace(string(last)) == lastPIDs {
			break
		}
	}
	_, _ = f.Update() // for the event of its own write
	out.Busy = wait(100)
}

// enter clones a process into a cgroup of the container, and returns what happened.
func enter(group string) string {
	dir, err := os.Open(witness + "/" + group)
	if err == nil {
		defer dir.Close()
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{sleeperEnv + "=1"}
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Cloneflags: unix.CLONE_NEWPID}
		if err = cmd.Start(); err == nil {
			must("kill", cmd.Process.Kill())
			_ = cmd.Wait()
			return "entered"
		}
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno.Error()
}

// killOthers starts a process as dockerd would, and returns how KillOthers ended it.
func killOthers() string {
	const beside = mountPoint + "/beside"
	must("mkdir", os.Mkdir(beside, 0o755))
	dir, err := os.Open(beside)
	must("open", err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{sleeperEnv + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	must("start", cmd.Start())
	must("KillOthers", KillOthers())
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Signal(unix.SIGTERM) })
	defer late.Stop()
	_ = cmd.Wait()
	return cmd.ProcessState.String()
}

func namesIn(dir string) (names []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func must(what string, err error) {
	if err != nil {
		panic(what + ": " + err.Error())
	}
}
