package shim

import (
	"fmt"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/reaper"
	"github.com/cgshim/cgshim/shim/pid1"
)

// help does the work of a helper that PID 1 starts while the program runs or after its end.
func (j *job) help(role pid1.Role) {
	switch role {
	case pid1.Explain:
		j.orders.Reply.Set(j.explain())
	case pid1.Resize:
		j.resize()
	case pid1.Drain:
		j.drain()
	}
}

// explain returns the log lines that say why the program could not be executed, or how it
// ended.
func (j *job) explain() string {
	o := j.orders
	_ = os.Chdir(o.String(o.Dir)) // the program may have a relative path
	if errno := pid1.Errno(o.Outcome.ExecErrno); errno != 0 {
		return j.explainExec(errno)
	}
	lines := ""
	if o.Outcome.ViaShell == 1 {
		if reason := otherMachine(findFile(j.program(), j.Env)); reason != "" {
			lines = j.log.Render(LevelWarn, "program is read by /bin/sh", "program", j.program(), "reason", reason)
		}
	}
	return lines + j.explainEnd()
}

func (j *job) program() string {
	if len(j.Config.Args) == 0 {
		return ""
	}
	return j.Config.Args[0]
}

func (j *job) explainExec(errno pid1.Errno) string {
	if j.Tini {
		return j.log.ChildRender(j.orders.Outcome.PID, LevelError, "exec "+j.program()+" failed: "+strerror(errno))
	}
	return j.log.Render(LevelError, "cannot execute", "program", j.program(), "err", errno, "reason", diagnose(j.program(), j.Env, errno))
}

// explainEnd says how the program ended, with the number of OOM kills during its life.
func (j *job) explainEnd() string {
	o := j.orders
	exit := reaper.Exit{PID: o.Outcome.PID, Status: o.Outcome.Status}
	status := exit.Code()
	if j.ExpectExit[status] {
		status = 0
	}
	facts := []any{"pid", exit.PID, "program", path.Base(j.program()), "status", status, "elapsed", seconds(o.Elapsed)}
	msg, level := "child exited", LevelInfo
	if exit.Signaled() {
		msg = "child ended by signal"
		facts = append(facts, "signal", SignalName(exit.Signal()), "core_dumped", exit.Core())
		if !o.Forwarded.Has(exit.Signal()) {
			level = LevelWarn
		}
	}
	if kills, known := j.kernel.oomKills(o.Delegated); known && o.KillsKnown && kills > o.Kills {
		facts, level = append(facts, "oom_kills", int(kills-o.Kills)), LevelWarn
	}
	return j.log.Render(level, msg, facts...)
}

// seconds returns d in seconds, to the millisecond, as PID 1 writes it.
func seconds(d time.Duration) string {
	ms := d.Milliseconds()
	if ms%1000 == 0 {
		return fmt.Sprintf("%ds", ms/1000)
	}
	return fmt.Sprintf("%d.%03ds", ms/1000, ms%1000)
}

// resize copies the container's limits to the leaf again.
func (j *job) resize() {
	o := j.orders
	o.Again = false
	mirrored, err := cgroup.ParseMirrored(o.Mirrored.String())
	if err != nil {
		return
	}
	next, again, _ := cgroup.Resize(mirrored)
	o.Mirrored.Set(next.String())
	o.Again = again
}

// drain sends the signal of the orders to the processes that kill(2) with -1 does not reach
// from PID 1, or that a process other than PID 1 has to end.
func (j *job) drain() {
	o := j.orders
	if o.PID == 1 {
		if err := cgroup.KillOthers(); err != nil {
			o.Reply.Set(j.log.Render(LevelDebug, "cgroup.kill not used", "err", err))
		}
		return
	}
	self := os.Getpid()
	eachProcess(func(pid int) {
		if pid != self && descends(pid, o.PID) {
			_ = unix.Kill(pid, o.Signal)
		}
	})
}

// descends reports whether ancestor is an ancestor of pid. A process in between may end
// meanwhile. Its children then get another parent, which is an ancestor of theirs too.
func descends(pid, ancestor int) bool {
	const deepest = 1000
	for range deepest {
		if pid = look(pid).parent; pid <= 1 || pid == ancestor {
			break
		}
	}
	return pid == ancestor
}
