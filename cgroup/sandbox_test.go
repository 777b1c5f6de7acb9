package cgroup

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

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

// hierarchy returns the mount point of the hierarchy in which the tests make cgroups.
func hierarchy() string {
	for _, dir := range []string{mountPoint, mountPoint + "/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(dir, &fs) == nil && int64(fs.Type) == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	return ""
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
	Hide    string   // directory that appears empty meanwhile
	Watch   bool     // look at the mount all the time
	Idle    bool     // make no delegation, for cases with Exec
	Bare    bool     // keep the mounts that it was started with
	Exec    []child  // run these afterwards as processes of the container, in the cgroup namespace of the start
	AtOnce  bool     // run all Exec at the same time, so that none ends before the others
	Inner   *child   // run this afterwards as an inner container, in the cgroup namespace of this one
	SetUp   bool     // call setUp, not Apply on one plan
	Waits   bool     // wait for the end of the input before the end
}

// fault makes the nth call of op fail. With 0 every call fails.
type fault struct {
	Op    string
	Nth   int
	Errno syscall.Errno // 0 with Do: the call is made after Do
	Do    string        // name of a function in setups
}

// lie makes a call succeed without making it.
const lie = syscall.Errno(1 << 20)

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
	CPU     time.Duration
	Output  string
	Again   State  // with Twice
	Killed  string // with Others: how the other process ended
	OOM     uint64
	Allocs  map[string]float64 // allocations of each call that PID 1 makes while its program runs
	Leaf    map[string]string  // limits of the leaf
	Busy    bool               // with Follow: events were left at the end
	Limits  Limits
	Looks   int // with Watch: number of looks
	Gaps    int // with Watch: looks without a cgroup2
	Exec    []outcome
	Inner   *outcome
	Dead    bool   // the child was killed
	Said    string // its standard error
}

// view is everything that a delegation may change.
type view struct {
	Membership string
	Namespace  uint64
	Mounts     []string // root and flags of each mount at and below /sys/fs/cgroup
	Type       string
	Processes  []string
	Enabled    string
	Children   []string
	Leaf       []string
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
	out := outcome{Calls: map[string]int{}}
	out.Before = look(c.Options.Leaf)
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
	case c.SetUp:
		p, report, err = k.setUp(c.Options)
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
		if err != nil {
			out.Err, out.Hint = err.Error(), Hint(err)
		}
	}
	stopWatch()
	if c.Hide != "" {
		must("show", unix.Unmount(c.Hide, unix.MNT_DETACH))
	}
	out.After = look(c.Options.Leaf)
	out.Leaf = map[string]string{}
	for _, name := range MirrorLimits.files() {
		value, _ := os.ReadFile(witness + "/init/" + name)
		out.Leaf[name] = strings.TrimSpace(string(value))
	}
	if c.Twice {
		p := Decide(Observe(), c.Options)
		out.Again = p.State
		if _, err := p.apply(&linux); err != nil {
			out.Err = err.Error()
		}
		out.After = look(c.Options.Leaf)
	}
	if len(c.Command) > 0 {
		b, err := exec.Command(c.Command[0], c.Command[1:]...).CombinedOutput()
		out.Output = string(b)
		if err != nil {
			out.Output += err.Error()
		}
	}
	out.Allocs = map[string]float64{}
	if c.Follow {
		followUntilTheEnd(follower, &out)
	}
	h := NewHandle(true)
	if c.Others {
		out.Killed = killOthers(h)
		out.Allocs["KillOthers"] = testing.AllocsPerRun(10, func() { h.KillOthers() })
	}
	out.Exec = runExecs(c, start)
	if c.Inner != nil {
		out.Inner = runInner(*c.Inner)
	}
	out.Allocs["OOMKills"] = testing.AllocsPerRun(10, func() { out.OOM, _ = h.OOMKills() })
	if c.Follow { // nothing stays open in the mount
		must("umount", unix.Unmount(mountPoint, 0))
	}
	var usage unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &usage)
	out.CPU = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	data, err := json.Marshal(out)
	must("marshal", err)
	fmt.Println(string(data))
	if c.Waits {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(0)
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

// runExecs runs c.Exec, one after the other or at the same time.
func runExecs(c child, start *os.File) []outcome {
	outs := make([]outcome, len(c.Exec))
	var first, all sync.WaitGroup
	for i := range c.Exec {
		first.Add(1)
		together := func() {
			first.Done()
			first.Wait()
		}
		run := func() { outs[i] = runExec(c.Exec[i], start, together) }
		if c.AtOnce {
			all.Go(run)
			continue
		}
		first.Done()
		together = func() {}
		run()
	}
	all.Wait()
	return outs
}

// runExec runs c in this process's cgroup and in another cgroup namespace. runc does
// that with an exec if the container shares the host's namespace. runExec starts c from
// another thread, because /proc/1/ns shows the namespaces of the main thread. The
// process ends after together has returned.
func runExec(c child, namespace *os.File, together func()) (out outcome) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so the thread ends
		must("setns", unix.Setns(int(namespace.Fd()), unix.CLONE_NEWCGROUP))
		out = runAgain(c, nil, os.Getenv("CGSHIM_TEST_GROUP"), together)
	}()
	<-done
	return out
}

// runInner runs c as PID 1 of a container in this container. As with dockerd, its
// cgroup is beside the leaf, and it has this container's cgroup namespace and a copy of
// its mounts.
func runInner(c child) *outcome {
	const name = "inner"
	must("mkdir", os.MkdirAll(mountPoint+"/"+name, 0o755))
	dir, err := os.Open(mountPoint + "/" + name)
	must("open", err)
	defer dir.Close()
	out := runAgain(c, &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
	}, name, func() {})
	return &out
}

// runAgain runs this binary as c, which waits for the end of its input before it ends.
func runAgain(c child, attr *syscall.SysProcAttr, group string, together func()) (out outcome) {
	c.Waits = true
	spec, err := json.Marshal(c)
	must("marshal", err)
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec), "CGSHIM_TEST_GROUP="+group)
	cmd.SysProcAttr = attr
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	input, err := cmd.StdinPipe()
	must("pipe", err)
	output, err := cmd.StdoutPipe()
	must("pipe", err)
	must("start", cmd.Start())
	line, err := bufio.NewReader(output).ReadBytes('\n')
	if err == nil {
		must("unmarshal "+string(line), json.Unmarshal(line, &out))
	}
	together()
	input.Close()
	if ended := cmd.Wait(); err != nil {
		if ended == nil || ended.Error() != "signal: killed" {
			panic(fmt.Sprint(ended, stderr.String()))
		}
		out.Dead = true
	}
	out.Said = stderr.String()
	return out
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
		f.Update()
		last, err := os.ReadFile(mountPoint + "/init/pids.max")
		must("read", err)
		if strings.TrimSpace(string(last)) == lastPIDs {
			break
		}
	}
	// Make a change for each call to undo, in the only file that can be written from
	// here.
	out.Allocs["Update"] = testing.AllocsPerRun(10, func() {
		rawWriteFile(unix.AT_FDCWD, &witnessGroup[0], one, 0)
		f.Update()
	})
	f.Update() // for the event of its own write
	out.Busy = wait(100)
}

var witnessGroup = terminated(witness + "/" + oomGroupFile)

// killOthers starts a process as dockerd would, and returns how KillOthers ended it.
func killOthers(h *Handle) string {
	const beside = mountPoint + "/beside"
	must("mkdir", os.Mkdir(beside, 0o755))
	dir, err := os.Open(beside)
	must("open", err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{sleeperEnv + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	must("start", cmd.Start())
	if errno := h.KillOthers(); errno != 0 {
		panic("KillOthers: " + errno.Error())
	}
	_ = cmd.Wait()
	return cmd.ProcessState.String()
}

func must(what string, err error) {
	if err != nil {
		panic(what + ": " + err.Error())
	}
}

// witness is the directory of the container's cgroup in a mount that no plan touches.
const witness = "/tmp/cgshim-witness"

func look(leaf string) (v view) {
	data, _ := os.ReadFile("/proc/self/cgroup")
	v.Membership = parseMembership(string(data)).unified
	var s unix.Stat_t
	must("stat ns", unix.Stat("/proc/self/ns/cgroup", &s))
	v.Namespace = s.Ino
	data, _ = os.ReadFile("/proc/self/mountinfo")
	for _, m := range parseMountinfo(string(data)) {
		if m.Point == mountPoint || strings.HasPrefix(m.Point, mountPoint+"/") {
			v.Mounts = append(v.Mounts, fmt.Sprint(m.ID, " ", m.Root, " ", m.Point, " ", m.Type, " ", slices.Contains(m.Options, "ro")))
		}
	}
	read := func(name string) string {
		b, _ := os.ReadFile(witness + "/" + name)
		return strings.TrimSpace(string(b))
	}
	v.Type, v.Enabled = read("cgroup.type"), read(subtreeControl)
	v.Processes, v.Leaf = strings.Fields(read("cgroup.procs")), strings.Fields(read(leaf+"/cgroup.procs"))
	slices.Sort(v.Processes) // the kernel lists them in the order of their arrival
	slices.Sort(v.Leaf)
	entries, _ := os.ReadDir(witness)
	for _, e := range entries {
		if e.IsDir() {
			v.Children = append(v.Children, e.Name())
		}
	}
	return v
}

// setups are functions that prepare the environment of a case.
var setups = map[string]func(){
	// A bind mount keeps the mount options of the hierarchy. A new cgroup2 mount from
	// the initial cgroup namespace would reset them for the whole machine.
	"host": func() {
		keepWitness()
		if h := hierarchy(); h != mountPoint {
			must("bind", unix.Mount(h, mountPoint, "", unix.MS_BIND, ""))
		}
	},
	"private": func() {
		h := keepWitness()
		if h != mountPoint {
			must("bind", unix.Mount(h, mountPoint, "", unix.MS_BIND, ""))
		}
		must("unshare", unix.Unshare(unix.CLONE_NEWCGROUP))
		must("umount", unix.Unmount(mountPoint, unix.MNT_DETACH))
		must("mount", unix.Mount("cgroup2", mountPoint, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""))
	},
	"unshared": func() { must("unshare", unix.Unshare(unix.CLONE_NEWCGROUP)) },
	"read-only": func() {
		must("remount", unix.Mount("", mountPoint, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""))
	},
	"unprivileged": func() {
		// Drop it from the effective and the permitted set of this thread.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		must("capget", unix.Capget(&header, &data[0]))
		data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
		data[0].Permitted &^= 1 << unix.CAP_SYS_ADMIN
		must("capset", unix.Capset(&header, &data[0]))
	},
	"seccomp ENOSYS": func() { refuseNewMountAPI(unix.ENOSYS) },
	"seccomp EPERM":  func() { refuseNewMountAPI(unix.EPERM) },
	// Go's runtime keeps cpu.max open if it sizes GOMAXPROCS by it.
	"pinned": func() {
		_, err := unix.Open(mountPoint+"/cgroup.controllers", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must("open", err)
	},
	"unmounted": func() { must("umount", unix.Unmount(mountPoint, unix.MNT_DETACH)) },
	"sub-mount": func() {
		must("mount", unix.Mount("tmpfs", mountPoint+"/"+os.Getenv("CGSHIM_TEST_GROUP"), "tmpfs", 0, ""))
	},
	"shared": func() {
		must("share", unix.Mount("", mountPoint, "", unix.MS_SHARED, ""))
		must("mkdir", os.MkdirAll("/tmp/cgshim-peer", 0o755))
		must("bind", unix.Mount(mountPoint, "/tmp/cgshim-peer", "", unix.MS_BIND, ""))
	},
	"slave": func() {
		must("share", unix.Mount("", mountPoint, "", unix.MS_SHARED, ""))
		must("mkdir", os.MkdirAll("/tmp/cgshim-peer", 0o755))
		must("bind", unix.Mount(mountPoint, "/tmp/cgshim-peer", "", unix.MS_BIND, ""))
		must("slave", unix.Mount("", mountPoint, "", unix.MS_SLAVE, ""))
	},
	"symlink": func() {
		must("mount", unix.Mount("tmpfs", "/sys/fs", "tmpfs", 0, ""))
		must("symlink", os.Symlink(witness, mountPoint))
	},
	// The mount shows only the container's cgroup, but the cgroup namespace is the
	// whole machine's.
	"own": func() {
		must("bind", unix.Mount(witness, mountPoint, "", unix.MS_BIND, ""))
	},
	"shared parent": func() { must("share", unix.Mount("", "/sys", "", unix.MS_SHARED|unix.MS_REC, "")) },
	"half-done": func() {
		must("enable", os.WriteFile(witness+"/"+subtreeControl, []byte("+pids"), 0))
		if v := look("init"); v.Type != "domain threaded" {
			panic("type " + v.Type)
		}
	},
	"leaf of another": func() { must("mkdir", os.Mkdir(witness+"/init", 0o755)) },
	"threaded leaf": func() {
		must("mkdir", os.Mkdir(witness+"/init", 0o755))
		must("type", os.WriteFile(witness+"/init/cgroup.type", []byte("threaded"), 0))
	},
	"in the leaf": func() {
		must("mkdir", os.Mkdir(witness+"/init", 0o755))
		must("move", os.WriteFile(witness+"/init/cgroup.procs", []byte("1"), 0))
	},
	"leaf is used": func() {
		dir, err := os.Open(witness + "/init")
		must("open", err)
		defer dir.Close()
		sleeper(&syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())})
	},
	// Clone a process into the container's cgroup, wherever this process is.
	"visitor": func() {
		dir, err := os.Open(witness)
		must("open", err)
		defer dir.Close()
		sleeper(&syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())})
	},
	// Changes that only the cgroup above allows. outside is a second witness.
	"pids taken away":    func() { must("disable", os.WriteFile(outside+"/"+subtreeControl, []byte("-pids"), 0)) },
	"hugetlb taken away": func() { must("disable", os.WriteFile(outside+"/"+subtreeControl, []byte("-hugetlb"), 0)) },
	"moved out": func() {
		_, err := beside.WriteString("1")
		must("move", err)
	},
	"killed": func() { must("kill", unix.Kill(os.Getpid(), unix.SIGKILL)) },
	"locked": func() {
		fd, err := unix.Open("/run", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must("open", err)
		must("flock", unix.Flock(fd, unix.LOCK_EX))
	},
	"moved to the leaf": func() {
		must("mkdir", os.MkdirAll(witness+"/init", 0o755))
		must("move", os.WriteFile(witness+"/init/cgroup.procs", []byte("1"), 0))
	},
	"read-only run": func() { must("remount", unix.Mount("", "/run", "", unix.MS_REMOUNT|unix.MS_RDONLY, "")) },
	// Like a service of k3s or kubelet after its init has moved deeper.
	"deeper": func() {
		must("mkdir", os.Mkdir(witness+"/init/init", 0o755))
		for _, pid := range []int{1, os.Getpid()} {
			must("move", os.WriteFile(witness+"/init/init/cgroup.procs", []byte(strconv.Itoa(pid)), 0))
		}
	},
	// The mount is on sysfs, as on a host without v1 hierarchies.
	"plain": func() {
		must("mkdir", os.MkdirAll("/tmp/cgshim-peer", 0o755))
		must("bind", unix.Mount(mountPoint, "/tmp/cgshim-peer", "", unix.MS_BIND, ""))
		for unix.Unmount(mountPoint, unix.MNT_DETACH) == nil {
		}
		must("move", unix.Mount("/tmp/cgshim-peer", mountPoint, "", unix.MS_MOVE, ""))
	},
	// As a service manager in the container does.
	"in a cgroup of its own": func() {
		must("mkdir", os.Mkdir(witness+"/unit", 0o755))
		must("move", os.WriteFile(witness+"/unit/cgroup.procs", []byte(strconv.Itoa(os.Getpid())), 0))
	},
	"sleepers": func() {
		for range 200 {
			sleeper(nil)
		}
	},
	// A runtime gives this to a container with a user namespace: a mount of the
	// hierarchy that was made inside, and a cgroup namespace of its own.
	"userns": func() {
		keepWitness()
		must("unshare", unix.Unshare(unix.CLONE_NEWCGROUP))
		must("mount", unix.Mount("tmpfs", mountPoint, "tmpfs", 0, ""))
		must("mount", unix.Mount("cgroup2", mountPoint, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""))
	},
}

func sleeper(attr *syscall.SysProcAttr) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.SysProcAttr = []string{sleeperEnv + "=1"}, attr
	must("spawn", cmd.Start())
}

// outside is the cgroup above the container's cgroup.
const outside = "/tmp/cgshim-outside"

const sleeperEnv = "CGSHIM_TEST_SLEEPER"

func init() {
	if os.Getenv(sleeperEnv) != "" {
		for {
			unix.Pause()
		}
	}
}

// refuseNewMountAPI installs a seccomp filter that answers errno to the mount calls of
// Linux 5.2, as the profile of an old runtime does (seccomp(2)).
func refuseNewMountAPI(errno syscall.Errno) {
	const loadNumber = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS // seccomp_data.nr is at 0
	calls := []uint32{unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_MOVE_MOUNT}
	filter := []unix.SockFilter{{Code: loadNumber}}
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: nr})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	must("no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	must("seccomp", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}

// beside is cgroup.procs of a cgroup beside the container's cgroup. With nsdelegate, a
// process may write it only through a descriptor that was opened outside of the
// namespace.
var beside *os.File

// keepWitness binds the container's cgroup to another place.
func keepWitness() string {
	h := hierarchy()
	must("mkdir", os.MkdirAll(witness, 0o777))
	own := h + "/" + os.Getenv("CGSHIM_TEST_GROUP")
	must("bind", unix.Mount(own, witness, "", unix.MS_BIND, ""))
	must("mkdir", os.MkdirAll(outside, 0o777))
	must("bind", unix.Mount(filepath.Dir(own), outside, "", unix.MS_BIND, ""))
	beside, _ = os.OpenFile(outside+"/beside/cgroup.procs", os.O_WRONLY, 0)
	return h
}

// faulty returns a kernel with these faults, which counts the calls.
func faulty(faults []fault, calls map[string]int) *kernel {
	k := linux
	hit := func(op string) error {
		calls[op]++
		for _, f := range faults {
			if f.Op != op || f.Nth != 0 && f.Nth != calls[op] {
				continue
			}
			if f.Do != "" {
				setups[f.Do]()
			}
			if f.Errno != 0 {
				return f.Errno
			}
		}
		return nil
	}
	k.unshare = func(flags int) error { return first(hit("unshare"), func() error { return linux.unshare(flags) }) }
	k.setns = func(fd, kind int) error { return first(hit("setns"), func() error { return linux.setns(fd, kind) }) }
	k.fsconfig = func(fd int) error { return first(hit("fsconfig"), func() error { return linux.fsconfig(fd) }) }
	k.fsopen = func(name string, flags int) (int, error) {
		if err := hit("fsopen"); err != nil {
			return -1, err
		}
		return linux.fsopen(name, flags)
	}
	k.fsmount = func(fd, flags, attrs int) (int, error) {
		if err := hit("fsmount"); err != nil {
			return -1, err
		}
		return linux.fsmount(fd, flags, attrs)
	}
	k.moveMount = func(from int, a string, to int, b string, flags int) error {
		return first(hit("move_mount"), func() error { return linux.moveMount(from, a, to, b, flags) })
	}
	k.mount = func(source, target, fstype string, flags uintptr, data string) error {
		return first(hit("mount"), func() error { return linux.mount(source, target, fstype, flags, data) })
	}
	k.umount = func(target string, flags int) error {
		return first(hit("umount"), func() error { return linux.umount(target, flags) })
	}
	k.openat = func(dir int, name string, flags int, mode uint32) (int, error) {
		if err := hit("open"); err != nil {
			return -1, err
		}
		return linux.openat(dir, name, flags, mode)
	}
	k.mkdirat = func(dir int, name string, mode uint32) error {
		return first(hit("mkdir"), func() error { return linux.mkdirat(dir, name, mode) })
	}
	k.read = func(fd int, p []byte) (int, error) {
		if err := hit("read"); err != nil {
			return -1, err
		}
		return linux.read(fd, p)
	}
	k.write = func(fd int, p []byte) (int, error) {
		if err := hit("write"); err != nil {
			if err == lie {
				return len(p), nil
			}
			return -1, err
		}
		return linux.write(fd, p)
	}
	k.flock = func(fd, how int) error { return first(hit("flock"), func() error { return linux.flock(fd, how) }) }
	k.stat = func(name string, s *unix.Stat_t) error {
		return first(hit("stat"), func() error { return linux.stat(name, s) })
	}
	k.fstatfs = func(fd int, s *unix.Statfs_t) error {
		return first(hit("fstatfs"), func() error { return linux.fstatfs(fd, s) })
	}
	k.fstat = func(fd int, s *unix.Stat_t) error {
		return first(hit("fstat"), func() error { return linux.fstat(fd, s) })
	}
	return &k
}

func first(err error, call func() error) error {
	if err == lie {
		return nil
	}
	if err != nil {
		return err
	}
	return call()
}

// sandbox is a cgroup for one child.
type sandbox struct {
	t         *testing.T
	dir, name string // name is the path in the hierarchy
	leafName  string
	user      bool // in a user namespace whose root is 100000 outside
}

var sandboxes int

func newSandbox(t *testing.T, suffix ...string) *sandbox {
	t.Helper()
	if os.Geteuid() != 0 || hierarchy() == "" {
		if os.Getenv("CGSHIM_MUST_RUN") != "" {
			t.Fatal("needs root and a cgroup2 hierarchy, and CGSHIM_MUST_RUN is set")
		}
		t.Skip("needs root and a cgroup2 hierarchy")
	}
	enableAtTop(t)
	sandboxes++
	s := &sandbox{t: t, name: fmt.Sprintf("cgshim-test-%d-%d%s", os.Getpid(), sandboxes, strings.Join(suffix, ""))}
	s.dir = filepath.Join(hierarchy(), s.name)
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// inside makes a container's cgroup in a cgroup that enables these controllers, as the
// cgroup of a pod or of a user manager does.
func (s *sandbox) inside(controllers ...string) *sandbox {
	s.t.Helper()
	inner := *s
	inner.name, inner.dir = s.name+"/ctr", s.dir+"/ctr"
	for _, dir := range []string{inner.dir, s.dir + "/beside"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.dir+"/"+subtreeControl, []byte(list("+", controllers)), 0); err != nil {
		s.t.Fatal(err)
	}
	return &inner
}

// handOver makes root of the sandbox's user namespace the owner of the cgroup, as runc
// does.
func (s *sandbox) handOver() {
	s.t.Helper()
	for _, file := range []string{"", "/cgroup.procs", "/cgroup.threads", "/" + subtreeControl} {
		if err := os.Chown(s.dir+file, 100000, 100000); err != nil {
			s.t.Fatal(err)
		}
	}
}

// handOverToGroup makes the group of that root the owner, as LXC does.
func (s *sandbox) handOverToGroup() {
	s.t.Helper()
	for file, mode := range map[string]os.FileMode{"": 0o775, "/cgroup.procs": 0o664, "/cgroup.threads": 0o664, "/" + subtreeControl: 0o664} {
		if err := errors.Join(os.Chown(s.dir+file, 0, 100000), os.Chmod(s.dir+file, mode)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// restoreTop restores the hierarchy.
var restoreTop = func() {}

// enableAtTop enables controllers for the test cgroups, as systemd does on a host.
func enableAtTop(t *testing.T) {
	t.Helper()
	top := hierarchy()
	controllers, err := os.ReadFile(top + "/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	enabled := strings.Fields(readFile(t, top+"/"+subtreeControl))
	added := slices.DeleteFunc(strings.Fields(string(controllers)), func(name string) bool { return slices.Contains(enabled, name) })
	if len(controllers) <= 1 {
		t.Fatal("the hierarchy has no controllers")
	}
	if len(added) == 0 {
		return
	}
	if err := os.WriteFile(top+"/"+subtreeControl, []byte(list("+", added)), 0); err != nil {
		t.Fatal(err)
	}
	restoreTop = func() { _ = os.WriteFile(top+"/"+subtreeControl, []byte(list("-", added)), 0) }
}

// remove kills the processes that are left in the cgroup, and removes the cgroup and
// all cgroups below.
func (s *sandbox) remove() {
	_ = os.WriteFile(s.dir+"/cgroup.kill", []byte("1"), 0)
	waitFor(s.t, "the test's cgroup to be removed", func() bool {
		var dirs []string
		_ = filepath.WalkDir(s.dir, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			_ = unix.Rmdir(dir)
		}
		_, err := os.Stat(s.dir)
		return os.IsNotExist(err)
	})
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

// command returns c as a process that starts in the sandbox's cgroup.
func (s *sandbox) command(c child) (*exec.Cmd, *os.File) {
	s.t.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		s.t.Fatal(err)
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+string(spec), "CGSHIM_TEST_GROUP="+s.name)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID, UseCgroupFD: true, CgroupFD: int(dir.Fd()),
	}
	if !c.Bare {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
	}
	if s.user {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
		cmd.SysProcAttr.Credential = &syscall.Credential{}
	}
	return cmd, dir
}

func (s *sandbox) run(c child) outcome {
	s.t.Helper()
	s.leafName = c.Options.Leaf
	defaults := func(o *Options) {
		o.Leaf, o.Timeout = cmp.Or(o.Leaf, "init"), cmp.Or(o.Timeout, 10*time.Second)
	}
	defaults(&c.Options)
	for i := range c.Exec {
		defaults(&c.Exec[i].Options)
	}
	if c.Inner != nil {
		defaults(&c.Inner.Options)
	}
	cmd, dir := s.command(c)
	defer dir.Close()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%v\n%s", err, stderr.String())
	}
	return parse(s.t, stdout.Bytes())
}

func parse(t *testing.T, stdout []byte) (out outcome) {
	t.Helper()
	if err := json.Unmarshal(stdout, &out); err != nil {
		t.Fatalf("%v in %q", err, stdout)
	}
	return out
}

// delegated checks the result of a delegation.
func (s *sandbox) delegated(out outcome) {
	s.t.Helper()
	s.delegatedWithout(nil, out)
}

// delegatedWithout is one in which these controllers could not be enabled.
func (s *sandbox) delegatedWithout(missing []string, out outcome) {
	s.t.Helper()
	if out.Skip || out.Err != "" {
		s.t.Fatalf("not delegated: %s %s %s", out.State, out.Reason, out.Err)
	}
	controllers, err := os.ReadFile(filepath.Dir(s.dir) + "/" + subtreeControl)
	if err != nil {
		s.t.Fatal(err)
	}
	want := slices.DeleteFunc(strings.Fields(string(controllers)), func(name string) bool { return slices.Contains(missing, name) })
	after := out.After
	slices.Sort(want)
	got := strings.Fields(after.Enabled)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		s.t.Errorf("enabled %q, want %q", got, want)
	}
	if after.Type != "domain" || !slices.Contains(after.Leaf, "1") || slices.Contains(after.Processes, "1") {
		s.t.Errorf("type %q, leaf %q, base %q", after.Type, after.Leaf, after.Processes)
	}
	if after.Membership != "/"+s.leaf() { // the leaf is below the root of the namespace
		s.t.Errorf("own cgroup is %q", after.Membership)
	}
	var stat unix.Stat_t
	if err := unix.Stat(s.dir, &stat); err != nil || out.Report.ID != 0 && stat.Ino != out.Report.ID {
		s.t.Errorf("cgroup id %d, reported %d, %v", stat.Ino, out.Report.ID, err)
	}
	top := ""
	for _, m := range after.Mounts {
		if f := strings.Fields(m); f[2] == mountPoint {
			top = m
		}
	}
	if f := strings.Fields(top); len(f) < 5 || f[1] != "/" || f[3] != "cgroup2" || f[4] != "false" {
		s.t.Errorf("mounts %q", after.Mounts)
	}
}

func (s *sandbox) leaf() string { return cmp.Or(s.leafName, "init") }

// untouched checks the state after a failure.
func (s *sandbox) untouched(out outcome) {
	s.t.Helper()
	before, after := reflect.ValueOf(out.Before), reflect.ValueOf(out.After)
	for i := range before.NumField() {
		if b, a := before.Field(i).Interface(), after.Field(i).Interface(); !reflect.DeepEqual(b, a) {
			s.t.Errorf("changed by a failure (%s): %s was %v, is %v", out.Err, before.Type().Field(i).Name, b, a)
		}
	}
}

// occupy clones a process of another PID namespace into the cgroup, as runc's exec
// does.
func (s *sandbox) occupy() *exec.Cmd {
	s.t.Helper()
	dir, err := os.Open(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{sleeperEnv + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func available(t *testing.T, controller string) bool {
	t.Helper()
	data, err := os.ReadFile(hierarchy() + "/cgroup.controllers")
	if err != nil {
		t.Fatal(err)
	}
	return slices.Contains(strings.Fields(string(data)), controller)
}

// onVM skips a test that needs more than hugetlb, or a machine without v1, outside of a
// VM. In the VM all these tests run, and a missing controller fails them.
func onVM(t *testing.T) {
	t.Helper()
	if hierarchy() == mountPoint {
		if !available(t, "pids") {
			t.Fatal("a unified hierarchy without the pids controller")
		}
		return
	}
	t.Skip("not on a hybrid host: test-vm runs it")
}
