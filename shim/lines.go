package shim

import "path"

// lines are the log lines that may be written while the program runs and at its end.
// Under a name of tini they have tini's texts, because users of tini look for these.
type lines struct {
	spawned   *Line
	chld      *Line // SIGCHLD arrived
	forward   *Line
	drop      *Line
	failed    *Line // a signal could not be forwarded, because its target is gone
	unsent    *Line // a signal could not be forwarded for another reason
	reaped    *Line
	zombie    *Line // tini's second line for an orphan, with -w
	left      *Line // children are left after reaping
	none      *Line // no child is left after reaping
	main      *Line // the program was reaped
	late      *Line
	refused   *Line // the program may not be killed
	abandoned *Line // likewise, and this process exits
	detach    *Line
	drain     *Line
	rest      *Line // processes are left after the drain timeout
	noKill    *Line // cgroup.kill failed

	// These two are without the reason, which is found later (cannotExecute, warnOfShell).
	notExecuted *Line
	viaShell    *Line

	noTTY *Line // standard input of tini's child is no terminal

	// The end of the program, which is expected, abnormal, or with OOM kills during its
	// life.
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
	reaped := LevelDebug
	if s.WarnOnReap {
		reaped = LevelWarn
	}
	from := []any{"from_pid", SlotFromPID, "from_uid", SlotFromUID}
	exit := []any{"pid", SlotPID, "program", program, "status", SlotStatus, "elapsed", SlotElapsed}
	bySignal := with(exit, "signal", SlotSignal, "core_dumped", SlotCore)
	render := s.log.Line
	s.lines = lines{
		spawned:   render(LevelInfo, "spawned child", "pid", SlotPID, "program", s.Args[0]),
		forward:   render(LevelDebug, "forwarding signal", with([]any{"signal", SlotSignal, "received", SlotReceived, "pid", SlotPID}, from...)...),
		drop:      render(LevelDebug, "signal not forwarded", with([]any{"signal", SlotReceived}, from...)...),
		failed:    render(LevelWarn, "cannot forward signal", "signal", SlotSignal, "pid", SlotPID, "err", SlotErrno),
		reaped:    render(reaped, "reaped orphan", "pid", SlotPID, "status", SlotStatus),
		late:      render(LevelWarn, "child did not stop in time, killing it", "pid", SlotPID, "timeout", s.StopTimeout),
		refused:   render(LevelWarn, "child did not stop in time and may not be killed", "pid", SlotPID, "timeout", s.StopTimeout, "err", SlotErrno),
		abandoned: render(LevelWarn, "child may not be killed, exiting so that the kernel kills it", "pid", SlotPID, "timeout", s.StopTimeout, "err", SlotErrno),
		detach:    render(LevelWarn, "traced child not detached", "pid", SlotPID, "err", SlotErrno),
		drain:     render(LevelInfo, "draining", "timeout", s.DrainTimeout),
		rest:      render(LevelWarn, "processes are left after the drain timeout, killing them", "timeout", s.DrainTimeout),
		noKill:    render(LevelDebug, "cgroup.kill not used", "err", SlotErrno),

		notExecuted: render(LevelError, "cannot execute", "program", s.Args[0], "err", SlotErrno),
		viaShell:    render(LevelWarn, "program is read by /bin/sh", "program", s.Args[0]),

		exited:      render(LevelInfo, "child exited", exit...),
		exitedOOM:   render(LevelWarn, "child exited", with(exit, "oom_kills", SlotKills)...),
		signaled:    render(LevelInfo, "child ended by signal", bySignal...),
		abnormal:    render(LevelWarn, "child ended by signal", bySignal...),
		signaledOOM: render(LevelWarn, "child ended by signal", with(bySignal, "oom_kills", SlotKills)...),
	}
	s.lines.unsent = s.lines.failed
}

// with appends to a copy of list.
func with(list []any, more ...any) []any { return append(list[:len(list):len(list)], more...) }
