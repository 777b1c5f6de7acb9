package shim

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// drain ends what the child left behind: TERM, wait, KILL. When PID 1 exits the
// kernel kills the rest of the PID namespace without a TERM (pid_namespaces(7)).
func (s *shim) drain() {
	if s.DrainTimeout == 0 {
		return
	}
	s.reap()
	if !s.somebody() {
		return
	}
	s.log.Log(Info, "draining", "timeout", s.DrainTimeout)
	s.signalRest(unix.SIGTERM)
	if s.awaitRest(time.Now().Add(s.DrainTimeout), true) {
		return
	}
	s.log.Log(Warn, "processes are left after the drain timeout, killing them", "timeout", s.DrainTimeout)
	if s.delegated && s.pid1 { // beside another PID 1 the inner containers are its program's
		if errno := s.container.KillOthers(); errno != 0 {
			s.log.Log(Debug, "cgroup.kill not used", "err", errno)
		}
	}
	s.signalRest(unix.SIGKILL)
	// SIGKILL cannot be refused, but a process in uninterruptible sleep does not
	// end: the kernel waits for those of a PID namespace when PID 1 exits, so it
	// makes no difference to stop waiting here.
	s.awaitRest(time.Now().Add(killGrace), false)
}

const killGrace = 2 * time.Second

// awaitRest reaps until nobody is left, and reports whether that is so at the
// deadline. A stop signal meanwhile, with hurry, ends the wait.
func (s *shim) awaitRest(deadline time.Time, hurry bool) bool {
	for s.somebody() {
		next := deadline
		if !s.orphans { // no SIGCHLD will tell
			next = earlier(deadline, time.Now().Add(20*time.Millisecond))
		}
		e, ok := s.signals.next(next)
		switch {
		case ok && e.signal == unix.SIGCHLD:
			s.reap()
		case ok && hurry && isStop(e.signal), past(deadline):
			return false
		}
	}
	return true
}

// somebody reports whether a process is left. Those that were started from outside, as
// by docker exec, are nobody's children here.
func (s *shim) somebody() bool {
	return s.orphans || s.pid1 && unix.Kill(-1, 0) == nil
}

// signalRest sends sig to everything that this process answers for. As PID 1 that
// is every process it can see (kill(2), pid -1: all but the caller, and only those
// in its own PID namespace and below); otherwise its descendants.
func (s *shim) signalRest(sig Signal) {
	if s.pid1 {
		_ = unix.Kill(-1, sig)
		return
	}
	for _, pid := range descendants(os.Getpid()) {
		_ = unix.Kill(pid, sig)
	}
}

// descendants lists the children of pid, their children and so on, from the
// parent field of every process.
func descendants(pid int) []int {
	children := map[int][]int{}
	for _, child := range numbersIn("/proc") {
		parent := parentOf(child)
		children[parent] = append(children[parent], child)
	}
	var all []int
	for queue := children[pid]; len(queue) > 0; queue = queue[1:] {
		all = append(all, queue[0])
		queue = append(queue, children[queue[0]]...)
	}
	return all
}

// parentOf is the PPid of pid in /proc/PID/stat, the second field after the
// command, which ends at the last parenthesis (proc(5)). 0: it is gone.
func parentOf(pid int) int {
	data, _ := readFile("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}
