package shim

import (
	"slices"
	"strings"
)

// inits are programs that start another in a process group of its own, as a shell with job
// control does. They wait for its end and not for its stop.
var inits = []string{"tini", "tini-static", "docker-init", "podman-init", "catatonit", "dumb-init", "cgshim", "init", "systemd", "s6-svscan", "runsv"}

// startedByShell reports whether a shell with job control has started PID 1, which then acts
// as its job: it stops when the program stops. Such a shell puts each job into a process group of its
// own, in the shell's session (bash(1), "JOB CONTROL"). An init that cgshim runs beside does
// the same, and never continues a job that has stopped.
func startedByShell(pid, parent int) bool {
	if pid == 1 || parent == 0 || !procIsOurs() {
		return false
	}
	own, shell := look(pid), look(parent)
	if own.session == pid || own.session != shell.session || own.group == shell.group {
		return false
	}
	return !slices.Contains(inits, strings.TrimSuffix(shell.name, "\n"))
}

// parentName returns the name of the process that has started PID 1, or "" if it is not
// visible.
func parentName(pid int) string {
	if pid == 0 || !procIsOurs() {
		return ""
	}
	return look(pid).name
}
