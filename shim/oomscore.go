package shim

import (
	"strconv"

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
	if err := writeFile("/proc/"+strconv.Itoa(j.orders.PID)+"/oom_score_adj", j.OOMScoreAdj); err != nil {
		facts := []any{"value", j.OOMScoreAdj, "err", err}
		if err == unix.EACCES {
			facts = append(facts, "hint", "to go below the value that the container was started with, give it CAP_SYS_RESOURCE: "+
				"docker or podman run --privileged or --cap-add=SYS_RESOURCE, Kubernetes securityContext.privileged")
		}
		j.log.Log(LevelWarn, "oom_score_adj not set", facts...)
	}
}

// writeFile writes data into an existing file in one call.
func writeFile(name, data string) error {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(data))
	return err
}
