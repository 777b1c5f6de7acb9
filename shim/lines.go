package shim

import "path"

// lines are the log lines that may be written while the program runs, and at its end.
// Under tini's names they are tini's, for its users look for them.
type lines struct {
	spawned *Line
	chld    *Line // SIGCHLD came
	forward *Line
	drop    *Line
	failed  *Line // a signal could not be forwarded
	reaped  *Line
	main    *Line // the program was reaped
	late    *Line
	refused *Line // the program may not be killed
	detach  *Line
	drain   *Line
	rest    *Line // is left after the drain timeout
	noKill  *Line // cgroup.kill not used

	// The end, as expected, abnormal, and with OOM kills meanwhile.
	exited, exitedOOM               *Line
	signaled, abnormal, signaledOOM *Line
	leave                           *Line
}

func (s *shim) prepareLines() {
	program := path.Base(s.Args[0])
	if s.Tini {
		s.lines = tiniLines(s.log, s.Args[0], s.WarnOnReap)
		return
	}
	reaped := Debug
	if s.WarnOnReap {
		reaped = Warn
	}
	from := []any{"from_pid", SlotFromPID, "from_uid", SlotFromUID}
	exit := []any{"pid", SlotPID, "program", program, "status", SlotStatus, "elapsed", SlotElapsed}
	bySignal := with(exit, "signal", SlotSignal, "core_dumped", SlotCore)
	render := s.log.Line
	s.lines = lines{
		spawned: render(Info, "spawned child", "pid", SlotPID, "program", s.Args[0]),
		forward: render(Debug, "forwarding signal", with([]any{"signal", SlotSignal, "received", SlotReceived, "pid", SlotPID}, from...)...),
		drop:    render(Debug, "signal not forwarded", with([]any{"signal", SlotReceived}, from...)...),
		failed:  render(Warn, "cannot forward signal", "signal", SlotSignal, "pid", SlotPID, "err", SlotErrno),
		reaped:  render(reaped, "reaped orphan", "pid", SlotPID, "status", SlotStatus),
		late:    render(Warn, "child did not stop in time, killing it", "pid", SlotPID, "timeout", s.StopTimeout),
		refused: render(Warn, "child may not be killed", "pid", SlotPID, "err", SlotErrno),
		detach:  render(Warn, "traced child not detached", "pid", SlotPID, "err", SlotErrno),
		drain:   render(Info, "draining", "timeout", s.DrainTimeout),
		rest:    render(Warn, "processes are left after the drain timeout, killing them", "timeout", s.DrainTimeout),
		noKill:  render(Debug, "cgroup.kill not used", "err", SlotErrno),

		exited:      render(Info, "child exited", exit...),
		exitedOOM:   render(Warn, "child exited", with(exit, "oom_kills", SlotKills)...),
		signaled:    render(Info, "child ended by signal", bySignal...),
		abnormal:    render(Warn, "child ended by signal", bySignal...),
		signaledOOM: render(Warn, "child ended by signal", with(bySignal, "oom_kills", SlotKills)...),
	}
}

// with adds to a copy of list.
func with(list []any, more ...any) []any { return append(list[:len(list):len(list)], more...) }

// tiniLines are the messages of tini 0.19 (tini.c), at its levels.
func tiniLines(log Log, program string, warnOnReap bool) lines {
	pid := SlotPID.Text()
	l := lines{
		spawned: log.Line(Info, "Spawned child process '"+program+"' with pid '"+pid+"'"),
		chld:    log.Line(Debug, "Received SIGCHLD"),
		forward: log.Line(Debug, "Passing signal: '"+SlotSignalText.Text()+"'"),
		failed:  log.Line(Warn, "Child was dead when forwarding signal"),
		reaped:  log.Line(Debug, "Reaped child with pid: '"+pid+"'"),
		main:    log.Line(Debug, "Reaped child with pid: '"+pid+"'"),
		late:    log.Line(Warn, "child did not stop in time, killing it", "pid", SlotPID),
		refused: log.Line(Warn, "child may not be killed", "pid", SlotPID, "err", SlotErrno),
		detach:  log.Line(Warn, "traced child not detached", "pid", SlotPID, "err", SlotErrno),
		drain:   log.Line(Info, "draining"),
		rest:    log.Line(Warn, "processes are left after the drain timeout, killing them"),
		exited:  log.Line(Info, "Main child exited normally (with status '"+SlotStatus.Text()+"')"),
		leave:   log.Line(Trace, "Exiting: child has exited"),
	}
	if warnOnReap {
		l.reaped = log.Line(Warn, "Reaped zombie process with pid="+pid)
	}
	l.signaled = log.Line(Info, "Main child exited with signal (with signal '"+SlotSignalText.Text()+"')")
	l.abnormal, l.signaledOOM, l.exitedOOM = l.signaled, l.signaled, l.exited
	return l
}
