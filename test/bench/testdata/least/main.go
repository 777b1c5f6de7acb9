// Command least is the least that an init written in Go can do: start the program and
// exit with its status. What it takes is the runtime's.
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
