package cgroup

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

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
		if host != 0 { // the main thread has left the mount namespace of the others
			mounts, err := os.Open("/proc/self/ns/mnt")
			must("open", err)
			must("unshare", unix.Unshare(unix.CLONE_FS))
			must("setns", unix.Setns(int(mounts.Fd()), unix.CLONE_NEWNS))
		}
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

const sleeperEnv = "CGSHIM_TEST_SLEEPER"

func init() {
	if os.Getenv(sleeperEnv) != "" {
		for {
			unix.Pause()
		}
	}
}

func sleeper(attr *syscall.SysProcAttr) (pid int) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.SysProcAttr = []string{sleeperEnv + "=1"}, attr
	must("spawn", cmd.Start())
	return cmd.Process.Pid
}
