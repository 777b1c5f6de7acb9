package cgroup_test

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
)

// A program that starts dockerd re-executes itself, here with the argument "dockerd".
// The new process delegates and then becomes dockerd.
func ExampleDelegate() {
	// Call this in an init function of the program, so that main runs on the main thread.
	runtime.LockOSThread()

	if len(os.Args) > 1 && os.Args[1] == "dockerd" {
		report, err := cgroup.Delegate(cgroup.RequireV2, cgroup.Options{OOMGroup: "0"})
		if err != nil {
			log.Fatalf("cgroup not delegated: %v: %s", err, cgroup.Hint(err))
		}
		if report.Delegated {
			log.Printf("inner containers are created under %s", report.HostPath)
		}
		dockerd, err := exec.LookPath("dockerd")
		if err == nil {
			err = syscall.Exec(dockerd, os.Args[1:], os.Environ())
		}
		log.Fatal(err)
	}

	dockerd := exec.Command("/proc/self/exe", "dockerd", "--host=unix:///run/docker.sock")
	dockerd.Stdout, dockerd.Stderr = os.Stdout, os.Stderr
	log.Fatal(dockerd.Run())
}

// Decide needs no container. The facts can come from anywhere.
func ExampleDecide() {
	facts := &cgroup.Facts{
		PID: 1, InitialUserNS: true, SysAdmin: true, Unified: "/",
		Mount: &cgroup.Mount{Root: "/", Point: "/sys/fs/cgroup", Options: []string{"ro", "nosuid"}, Type: "cgroup2"},
		Own:   &cgroup.Group{Path: "/sys/fs/cgroup", Type: "domain", Controllers: []string{"cpu", "memory"}, Writable: true},
	}
	plan := cgroup.Decide(facts, cgroup.Options{Mirror: cgroup.MirrorNothing})
	fmt.Println(plan.State)
	for _, step := range plan.Steps {
		fmt.Println(step)
	}
	// Output:
	// private cgroup namespace
	// make the mount at /sys/fs/cgroup writable
	// use the mount at /sys/fs/cgroup
	// move every process of the container's cgroup into the leaf init, and make the empty cgroup spare beside it
	// enable all controllers (cpu memory) for inner containers in one write, and move processes that enter meanwhile
}

func ExampleHint() {
	err := &cgroup.Error{Op: "mkdir", Path: "/sys/fs/cgroup/init", Err: syscall.EAGAIN}
	fmt.Println(err)
	fmt.Println(cgroup.Hint(err))
	// Output:
	// mkdir /sys/fs/cgroup/init: resource temporarily unavailable
	// a limit is reached: raise cgroup.max.descendants or cgroup.max.depth of the cgroups above
}

// An init that stays can follow the container's limits.
func ExampleReport_Follow() {
	report, err := cgroup.Delegate(cgroup.Auto, cgroup.Options{})
	if err != nil {
		log.Fatal(err)
	}
	follower, err := report.Follow()
	if err != nil {
		log.Print(err)
	}
	for {
		resized := []unix.PollFd{{Fd: int32(follower.FD()), Events: unix.POLLIN}}
		if _, err := unix.Poll(resized, -1); err == nil {
			follower.Update()
		}
	}
}
