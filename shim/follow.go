package shim

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim/pid1"
)

// follow has PID 1 watch the container's limits, and copies what has changed before the
// watch. With Exec, no process of cgshim stays to follow them.
func (j *job) follow(report *cgroup.Report) {
	files := report.Watch()
	if j.Exec || len(files) == 0 {
		return
	}
	fd, err := j.watch(files)
	if err != nil {
		j.log.Log(LevelWarn, "limits will not be followed", explainError(err)...)
		return
	}
	j.orders.Notify = int32(fd)
	next, _, _ := cgroup.Resize(report.Mirrored())
	j.orders.Mirrored.Set(next.String())
}

// watch makes an inotify descriptor of PID 1 that raises a signal there when one of the
// files is written (inotify(7); fcntl(2), "Signals"). The signal goes to the only thread of
// PID 1.
func (j *job) watch(files []string) (fd uintptr, err error) {
	fd, errno := j.call(unix.SYS_INOTIFY_INIT1, unix.IN_NONBLOCK|unix.IN_CLOEXEC)
	if errno != 0 {
		return 0, &cgroup.Error{Op: "inotify_init1", Err: errno}
	}
	for _, file := range files {
		path, release := j.orders.CString(strings.TrimSpace(file))
		_, errno := j.call(unix.SYS_INOTIFY_ADD_WATCH, fd, path, unix.IN_MODIFY)
		release()
		if errno != 0 {
			j.closeInPID1(fd)
			return 0, &cgroup.Error{Op: "inotify_add_watch", Path: file, Err: errno}
		}
	}
	if !j.native {
		return fd, nil // claim polls it
	}
	const setSignal = 10 // F_SETSIG
	for _, c := range [...][2]uintptr{
		{setSignal, uintptr(pid1.Changed)},
		{unix.F_SETOWN, uintptr(j.orders.PID)},
		{unix.F_SETFL, unix.O_ASYNC | unix.O_NONBLOCK},
	} {
		if _, errno := j.call(unix.SYS_FCNTL, fd, c[0], c[1]); errno != 0 {
			j.closeInPID1(fd)
			return 0, os.NewSyscallError("fcntl", errno)
		}
	}
	return fd, nil
}

func (j *job) closeInPID1(fd uintptr) { j.call(unix.SYS_CLOSE, fd) }
