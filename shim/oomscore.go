package shim

import (
	"golang.org/x/sys/unix"
)

// setOOMScoreAdj sets how likely the OOM killer chooses PID 1 and the program,
// which inherits the value (proc_pid_oom_score_adj(5)). Inner containers get their
// value from their runtime. A value below the value that the container was started with
// needs CAP_SYS_RESOURCE. A failure is only logged, because the container works without
// the value.
func (j *job) setOOMScoreAdj() {
	if j.OOMScoreAdj == "" {
		return
	}
	if err := j.writeInPID1("/proc/self/oom_score_adj", j.OOMScoreAdj); err != nil {
		facts := []any{"value", j.OOMScoreAdj, "err", err}
		if err == unix.EACCES {
			facts = append(facts, "hint", "to go below the value that the container was started with, give it CAP_SYS_RESOURCE: "+
				"docker or podman run --privileged or --cap-add=SYS_RESOURCE, Kubernetes securityContext.privileged")
		}
		j.log.Log(LevelWarn, "oom_score_adj not set", facts...)
	}
}

// writeInPID1 has PID 1 write data into an existing file in one call. By its number PID 1
// could be another process in /proc, which may show another PID namespace.
func (j *job) writeInPID1(name, data string) error {
	const cwd = ^uintptr(99) // AT_FDCWD, -100
	path, release := j.orders.CString(name)
	defer release()
	fd, errno := j.call(unix.SYS_OPENAT, cwd, path, unix.O_WRONLY|unix.O_CLOEXEC)
	if errno != 0 {
		return errno
	}
	defer j.closeInPID1(fd)
	text, releaseText := j.orders.CString(data)
	defer releaseText()
	if _, errno = j.call(unix.SYS_WRITE, fd, text, uintptr(len(data))); errno != 0 {
		return errno
	}
	return nil
}
