// Command supervisor runs a program that starts containers, and starts the program again
// when it has failed. supervisor delegates the container's cgroup without a shell or
// another binary. It starts itself as a child. The child delegates the cgroup and then
// becomes the program.
//
//	supervisor dockerd --host=unix:///run/docker.sock
//
// Go's runtime would keep open the cpu.max of the cgroup that it starts in, which would
// pin the mount that the delegation replaces. These settings keep the runtime from
// reading the file.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/cgshim/cgshim/cgroup"
)

// delegated is the first argument of the child. notDelegated is its status where the container has
// to be changed first, so that starting it again does not help.
const (
	delegated    = "run-delegated"
	notDelegated = 125
)

// A process shows the cgroup namespace of its main thread, so main has to run on the main
// thread.
func init() { runtime.LockOSThread() }

func main() {
	log.SetFlags(0)
	log.SetPrefix("supervisor: ")
	args := os.Args[1:]
	switch {
	case len(args) == 0:
		log.Fatal("no program given")
	case args[0] == delegated && len(args) > 1:
		err := become(args[1:])
		log.Println(err)
		if refusal := (*cgroup.Refusal)(nil); errors.As(err, &refusal) {
			os.Exit(notDelegated)
		}
		os.Exit(1)
	}
	for {
		err := run(args)
		var failed *exec.ExitError
		if err == nil || !errors.As(err, &failed) {
			log.Println("ended:", err)
			return
		}
		if failed.ExitCode() == notDelegated {
			os.Exit(notDelegated)
		}
		log.Println("starting it again:", err)
		time.Sleep(time.Second)
	}
}

// run starts the program once and waits for it.
func run(args []string) error {
	cmd := exec.Command("/proc/self/exe", append([]string{delegated}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// become delegates and then becomes the program. When the program is started again,
// become finds the cgroup delegated and joins the cgroup namespace of the first child.
func become(args []string) error {
	report, err := cgroup.Delegate(cgroup.RequireV2, cgroup.Options{OOMGroup: "0"})
	if err != nil {
		if hint := cgroup.Hint(err); hint != "" {
			return fmt.Errorf("cgroup not delegated: %w (%s)", err, hint)
		}
		return fmt.Errorf("cgroup not delegated: %w", err)
	}
	for _, warning := range report.Warnings {
		log.Println(warning)
	}
	switch {
	case report.Delegated:
		log.Printf("%s: %s, id %d", report.Plan.State, report.HostPath, report.ID)
	default: // containers are not in cgroup v2 here
		log.Println(report.Why)
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return &os.PathError{Op: "execve", Path: program, Err: syscall.Exec(program, args, os.Environ())}
}
