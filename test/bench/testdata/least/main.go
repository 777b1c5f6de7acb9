// Command least is an init that only starts the program and exits with its status. What it
// needs is what Go's runtime needs, so no init in Go can need less.
package main

import (
	"os"
	"syscall"
)

func main() {
	pid, err := syscall.ForkExec(os.Args[1], os.Args[1:], &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2, 3}})
	if err != nil {
		os.Exit(127)
	}
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			os.Exit(status.ExitStatus())
		}
	}
}
