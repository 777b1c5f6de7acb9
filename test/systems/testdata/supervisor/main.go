// Command supervisor starts a daemon, and starts it again when it has ended: what coder's
// envbox does for dockerd. It is written in Go, whose runtime opens the process's cpu.max
// at its start and holds it open (Go 1.25 and later, runtime.GOMAXPROCS): no cgroup2
// mount that the file is on can be unmounted without MNT_DETACH.
//
//	supervisor COMMAND ARGS...
//
// SIGUSR1 has it kill the daemon. SIGUSR2 has it kill the daemon and then each of the
// next ones a little later than the one before, until one lives to become dockerd: so the
// set-up is cut off all along its way. It says on standard output what it does, and what
// its quota is before each start: as the runtime's open file has it, and as a program
// would find it that starts now.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// daemonName is the program that the set-up becomes.
const daemonName = "dockerd"

func main() {
	kill := make(chan os.Signal, 1)
	signal.Notify(kill, syscall.SIGUSR1, syscall.SIGUSR2)
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	after, cut := time.Duration(0), 0
	cutting := false
	for {
		// dockerd takes a containerd that has ended for one that runs, for nothing reaps it
		// where this program is PID 1.
		_, _ = os.Remove("/var/run/docker.pid"), os.Remove("/var/run/docker/containerd/containerd.pid")
		daemon := exec.Command(os.Args[1], os.Args[2:]...)
		daemon.Stdout, daemon.Stderr = os.Stderr, os.Stderr
		fmt.Printf("quota held %q shown %q\n", held(), shown())
		if err := daemon.Start(); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		pid := daemon.Process.Pid
		ended := make(chan error, 1)
		go func() { ended <- daemon.Wait() }()
		if cutting {
			select {
			case <-time.After(after):
			case <-ended:
				ended <- nil
			}
			if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); filepath.Base(exe) != daemonName {
				_ = daemon.Process.Kill()
				<-ended
				cut++
				after += after/4 + time.Millisecond
				continue
			}
			fmt.Printf("cut off %d times, the last one after %v\n", cut, after)
			cutting = false
		}
		fmt.Println("started", pid)
		select {
		case err := <-ended:
			fmt.Println("ended by itself", err)
			time.Sleep(time.Second)
		case s := <-kill:
			_ = daemon.Process.Kill()
			<-ended
			cutting, after, cut = s == syscall.SIGUSR2, 0, 0
			fmt.Println("killed")
		case <-terminate:
			_ = daemon.Process.Signal(syscall.SIGTERM)
			<-ended
			return
		}
	}
}

// held reads the file that the runtime holds, wherever that is by now.
func held() string {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		name, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if filepath.Base(name) != "cpu.max" {
			continue
		}
		var fd int
		_, _ = fmt.Sscan(e.Name(), &fd)
		b := make([]byte, 100)
		n, err := syscall.Pread(fd, b, 0)
		if err != nil {
			return err.Error()
		}
		return strings.TrimSpace(string(b[:n]))
	}
	return "none"
}

// shown finds the file anew, as the runtime of a program does that starts now.
func shown() string {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err.Error()
	}
	path := strings.TrimSpace(strings.TrimPrefix(string(own), "0::"))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(mounts)) {
		// ID PARENT MAJ:MIN ROOT POINT ..., proc_pid_mountinfo(5). The root is the
		// cgroup that the mount shows, as the reader's namespace has it.
		fields := strings.Fields(line)
		if !strings.Contains(line, " - cgroup2 ") || fields[4] != "/sys/fs/cgroup" {
			continue
		}
		path = strings.TrimPrefix(path, strings.TrimSuffix(fields[3], "/"))
	}
	text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path, "cpu.max"))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
