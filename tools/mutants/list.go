package main

// mutant is a mistake that a test should notice.
type mutant struct {
	name      string // the mistake
	file      string
	old, new  string // old occurs once in the file
	run       string // the tests that should notice, as for go test -run; "": all of the package
	hangs     bool   // the tests notice by not coming to an end
	root      bool   // these tests need root and a cgroup2 hierarchy
	explained string // why no test notices
}

// Tests of cgroup that need neither root nor a cgroup. No mistake in decide.go may meet a
// kernel, because some would move the processes of the host.
const (
	pure     = "^(TestDecide|TestOptionalSteps|TestAnywhere|TestDelegatedReports|TestRulesHold|TestParentOfTheMount|TestModes|TestZeroOptions)"
	parsing  = "^(TestParse|TestSplit|TestIsInitial|TestMayWrite|TestLimit$|TestBelow|Fuzz)"
	resizing = "^(TestLimitsAreFollowed|TestALimitBelow|TestOOMGroupIsKept|TestWhatIsAFailedCopy|TestAnotherCgroup|TestNothingToFollow|TestUpdate|TestEntries|TestLines)"
)

// Tests of shim in which a test plays the kernel, and those of its log lines. The other
// tests of the package take long.
const (
	played = "^(TestSupervise|TestMayWait|TestOrphansWithoutEnd|TestFreeze|TestClock|TestReport|TestExecFailure|TestDrain|TestSpawn|TestPrepare|TestDelegateSaysWhatWasDone|TestModes|TestAdopt|TestForwardOfCont)$"
	logged = "^(TestLongLines|TestAppendSeconds|TestLineFills|TestLineAsJSON)"
)

var mutants = []mutant{
	// The reaper.
	{name: "no child is told as one left", file: "reaper/reaper.go", old: "return false, false", new: "return true, false"},
	{name: "a living child is not told of", file: "reaper/reaper.go", old: "return true, false", new: "return false, false"},
	{name: "one child is reaped for each SIGCHLD", file: "reaper/reaper.go", old: "case !fn(Exit{int(pid), unix.WaitStatus(status)}):\n\t\t\treturn true, true", new: "default:\n\t\t\tfn(Exit{int(pid), unix.WaitStatus(status)})\n\t\t\treturn true, false"},
	{name: "stops are told of unasked", file: "reaper/reaper.go", old: "if stops {", new: "if true {"},
	{name: "stops are never told of", file: "reaper/reaper.go", old: "if stops {", new: "if false {"},
	{name: "the wait blocks", file: "reaper/reaper.go", old: "uintptr(unix.WNOHANG)", new: "uintptr(0)", run: "TestReap/.*(returns|lives)"},
	{name: "the status of a signal lacks 128", file: "reaper/reaper.go", old: "(128 + int(e.Status.Signal())) % 256", new: "int(e.Status.Signal())"},
	{name: "the PID of a child is lost", file: "reaper/reaper.go", old: "Exit{int(pid),", new: "Exit{1,"},
	{name: "a look at wait4 reaps a child", file: "reaper/reaper.go", old: "uintptr(unix.Getpid()), 0", new: "^uintptr(0), 0"},
	{name: "wait4 is called refused", file: "reaper/reaper.go", old: "if errno == unix.ECHILD {", new: "if errno == 0 {"},
	{name: "the reaping cannot be stopped", file: "reaper/reaper.go", old: "return true, true", new: ""},
	{name: "reaping that was stopped leaves nothing", file: "reaper/reaper.go", old: "return true, true", new: "return true, false"},
	{
		name: "an interrupted wait ends the reaping", file: "reaper/reaper.go", old: "case errno == unix.EINTR:", new: "case errno == unix.EINTR:\n\t\t\treturn true, false",
		explained: "wait4(2) with WNOHANG does not sleep, so that no signal interrupts it",
	},
	{name: "--pause does not reap what ended before", file: "reaper/pause.go", old: "Reap(false, func(Exit) bool { return true })", new: "_ = Reap", run: "Pause"},

	// The order of life.
	{name: "OOM kills before the start count", file: "shim/shim.go", old: "s.oomKills, _ = s.cgroup.OOMKills()", new: "_, _ = s.cgroup.OOMKills()", run: played},
	{name: "the program ends twice", file: "shim/shim.go", old: "case e.PID == s.child && !s.ended:", new: "case e.PID == s.child:", run: played},
	{name: "children that ended before the first signal wait", file: "shim/shim.go", old: "if s.reapAll(); s.ended {", new: "if s.ended {", run: played},
	{
		name: "deadlines are looked at after the signals", file: "shim/shim.go", old: "\t\tswitch {\n\t\tcase s.stopping.over():",
		new: "\t\tif e, ok := s.signals.Next(max(0, min(s.stopping.limit(), s.settling.limit()))); ok {\n\t\t\ts.handle(e)\n\t\t\tcontinue\n\t\t}\n\t\tswitch {\n\t\tcase s.stopping.over():",
		run: played,
	},
	{name: "a pass of reaping has no end", file: "shim/shim.go", old: "return s.pass.reaped < mostReaped", new: "return true", run: played},
	{name: "what a pass has left waits for a SIGCHLD", file: "shim/shim.go", old: "s.orphans, s.due =", new: "s.due = false\n\ts.orphans, _ =", run: played},
	{name: "signals keep it from reaping on", file: "shim/shim.go", old: "\t\t\t}\n\t\t\tif s.due {\n", new: "\t\t\t} else if s.due {\n", run: played},
	{name: "the lines of a pass take any time", file: "shim/shim.go", old: "if now < s.pass.until {", new: "if true {", run: played},
	{name: "a pass inherits the time of the last one", file: "shim/shim.go", old: "s.pass = pass{}", new: "s.pass.reaped = 0", run: played},
	{name: "an init that may not wait for signals starts", file: "shim/shim.go", old: "s.signals.Refused()}", new: "0}", run: played},
	{name: "an init that may not wait for children starts", file: "shim/shim.go", old: "s.noWait()}", new: "0}", run: played},
	{name: "the process is never pinned", file: "shim/shim.go", old: "s.settling = countdown{}\n\t\t\ts.pin()", new: "s.settling = countdown{}", run: played},
	{name: "the process is pinned again and again", file: "shim/shim.go", old: "s.settling = countdown{}\n", new: "s.settling = countdownOf(tick)\n", run: played},
	{name: "a tracee is not detached", file: "shim/shim.go", old: "traced, errno := s.detach(e.PID, sig)", new: "traced, errno := false, syscall.Errno(0)", run: played},
	{name: "a tracee loses its signal", file: "shim/shim.go", old: "s.detach(e.PID, sig)", new: "s.detach(e.PID, 0)", run: played},
	{name: "--expect-exit changes nothing", file: "shim/shim.go", old: "if s.ExpectExit[status] {", new: "if false {", run: played},
	{name: "a missing program ends with 126", file: "shim/shim.go", old: "return ExitNotFound", new: "return ExitNotExecutable", run: played},
	{name: "a program that may not be executed ends with 1", file: "shim/shim.go", old: "case errors.Is(err, unix.EACCES):", new: "case false:", run: played},
	{name: "orphans are not adopted", file: "shim/shim.go", old: "(!s.pid1 && !s.Tini && !s.Exec)", new: "false", run: played},
	{name: "the program of --exec adopts orphans", file: "shim/shim.go", old: "(!s.pid1 && !s.Tini && !s.Exec)", new: "(!s.pid1 && !s.Tini)", run: played},
	{name: "-p sets no signal", file: "shim/shim.go", old: "unix.PR_SET_PDEATHSIG, uintptr(s.ParentDeath)", new: "unix.PR_SET_PDEATHSIG, 0", run: played},
	{
		name: "a parent that died before -p is not noticed", file: "shim/shim.go", old: "if unix.Getppid() != parent {", new: "if false && unix.Getppid() != parent {", run: played,
		explained: "the parent would have to end between two system calls, at which no test can stop this process",
	},
	{name: "tini warns as PID 1", file: "shim/shim.go", old: "s.Tini && !s.pid1 && !isSubreaper()", new: "s.Tini && !isSubreaper()", run: played},
	{name: "every process is a subreaper", file: "shim/shim.go", old: "err == nil && flag == 1", new: "err == nil", run: played},
	{name: "the program has the group of the init", file: "shim/shim.go", old: "p.Group = true", new: "p.Group = false", run: played},
	{name: "the program does not get the terminal", file: "shim/shim.go", old: "p.Terminal = s.tty.descriptor()", new: "p.Terminal = -1", run: played},
	{name: "the program's life begins with the init's", file: "shim/shim.go", old: "s.started = s.now()", new: "", run: played},

	// Time.
	{name: "a freeze counts", file: "shim/clock.go", old: "min(now-w.last, longestLap)", new: "now - w.last", run: played},
	{name: "every lap begins at the start", file: "shim/clock.go", old: "w.last = now", new: "", run: played},
	{name: "a countdown is over late", file: "shim/clock.go", old: "c.left <= 0", new: "c.left < 0", run: "TestClock"},
	{name: "a countdown that does not run is over", file: "shim/clock.go", old: "c.running && c.left", new: "c.left", run: "TestClock"},
	{name: "a wait is longer than a tick", file: "shim/clock.go", old: "return min(c.left, tick)", new: "return c.left", run: played},

	// Signals to the program.
	{name: "a rewritten stop signal starts no clock", file: "shim/forward.go", old: "if s.isStop(sig) || s.isStop(e.Signal) {", new: "if s.isStop(sig) {", run: played},
	{name: "a signal rewritten to a stop signal starts no clock", file: "shim/forward.go", old: "if s.isStop(sig) || s.isStop(e.Signal) {", new: "if s.isStop(e.Signal) {", run: played},
	{name: "a second stop signal starts the clock again", file: "shim/forward.go", old: "s.StopTimeout > 0 && !s.stopping.running", new: "s.StopTimeout > 0", run: played},
	{name: "the time before the stop signal counts", file: "shim/forward.go", old: "s.spend() //", new: "//", run: played},
	{name: "without --stop-timeout the program is killed at once", file: "shim/forward.go", old: "s.StopTimeout > 0 && ", new: "", run: played},
	{name: "the stop time-out does not kill the group", file: "shim/forward.go", old: "s.kill(-s.child, unix.SIGKILL)", new: "", run: played},
	{name: "the stop time-out kills only the group", file: "shim/forward.go", old: "errno := s.kill(s.child, unix.SIGKILL)", new: "errno := s.kill(-s.child, unix.SIGKILL)", run: played},
	{name: "a program that has gone refuses its end", file: "shim/forward.go", old: "errno == 0 || errno == unix.ESRCH", new: "errno == 0", run: played},
	{name: "a refused kill ends another process than PID 1", file: "shim/forward.go", old: "case s.pid1:", new: "case true:", run: played},
	{name: "a refused kill does not end PID 1", file: "shim/forward.go", old: "case s.pid1:", new: "case false:", run: played},
	{name: "a program that was not killed has ended by SIGKILL", file: "shim/report.go", old: "if s.abandoned {", new: "if false {", run: played},
	{name: "drain waits for a program that may not be killed", file: "shim/drain.go", old: "if s.abandoned {", new: "if false {", run: played},
	{name: "the time-out kills again and again", file: "shim/forward.go", old: "s.stopping = countdown{}\n", new: "", run: played},
	{name: "a forwarded signal is forgotten", file: "shim/forward.go", old: "s.sent |= process.SetOf(sig)", new: "", run: played},
	{name: "a signal rewritten to 0 is sent", file: "shim/forward.go", old: "case sig == 0:", new: "case false:", run: played},
	{name: "a job is continued twice", file: "shim/forward.go", old: "sig == unix.SIGCONT && s.tty.resume(s.child)", new: "false", run: played},
	{name: "--kill-group signals the program alone", file: "shim/forward.go", old: "v.pid = -s.child", new: "v.pid = s.child", run: played},
	{name: "a pending stop signal does not end the wait", file: "shim/forward.go", old: "s.signals.Pending()&s.StopSignals != 0", new: "false", run: played},

	// The end.
	{name: "OOM kills before the start are the program's", file: "shim/report.go", old: "v.kills = n - s.oomKills", new: "v.kills = n", run: played},
	{name: "OOM kills are told of after a good end", file: "shim/report.go", old: "if code != 0 {", new: "if true {", run: played},
	{name: "tini logs the status after -e", file: "shim/report.go", old: "v.status = code", new: "", run: played},
	{name: "the end by a forwarded signal is a warning", file: "shim/report.go", old: "case s.sent.Has(v.signal):", new: "case false:", run: played},
	{name: "the end by another signal is no warning", file: "shim/report.go", old: "case s.sent.Has(v.signal):", new: "case true:", run: played},
	{name: "a failed execve has no reason", file: "shim/report.go", old: "s.program.Failed(); errno != 0", new: "s.program.Failed(); errno > 1000", run: played},
	{name: "a binary for another machine is not named", file: "shim/report.go", old: "if s.program.ViaShell() {", new: "if false {", run: played},
	{name: "drain trusts what was left before", file: "shim/drain.go", old: "s.reapEnded()\n\tif !s.anyLeft()", new: "if !s.anyLeft()", run: played},
	{name: "drain looks at one pass of children", file: "shim/drain.go", old: "s.due && s.now() < until", new: "false && s.now() < until", run: played},
	{name: "drain reaps as long as there are orphans", file: "shim/drain.go", old: "s.due && s.now() < until", new: "s.due || s.now() > until", run: played},
	{name: "drain does not continue the stopped", file: "shim/drain.go", old: "s.signalRest(unix.SIGCONT)", new: "", run: played},
	{name: "drain does not ask before it kills", file: "shim/drain.go", old: "s.signalRest(unix.SIGTERM)", new: "", run: played},
	{name: "drain leaves the inner containers", file: "shim/drain.go", old: "if s.delegated && s.pid1 {", new: "if false {", run: played},
	{name: "drain ends the containers of another PID 1", file: "shim/drain.go", old: "if s.delegated && s.pid1 {", new: "if s.delegated {", run: played},
	{name: "drain uses cgroup.kill without a delegation", file: "shim/drain.go", old: "if s.delegated && s.pid1 {", new: "if s.pid1 {", run: played},
	{name: "a stop signal hurries the wait after SIGKILL", file: "shim/drain.go", old: "s.awaitRest(killGrace, false)", new: "s.awaitRest(killGrace, true)", run: played},
	{name: "a stop signal does not hurry the drain", file: "shim/drain.go", old: "s.awaitRest(s.DrainTimeout, true)", new: "s.awaitRest(s.DrainTimeout, false)", run: played},
	{name: "processes from outside are not waited for", file: "shim/drain.go", old: "s.orphans || s.pid1 && s.kill(-1, 0) == 0", new: "s.orphans", run: played},
	{name: "another than PID 1 waits for processes from outside", file: "shim/drain.go", old: "s.orphans || s.pid1 && s.kill(-1, 0) == 0", new: "s.orphans || s.kill(-1, 0) == 0", run: played},
	{name: "another than PID 1 signals every process", file: "shim/drain.go", old: "if s.pid1 {\n\t\ts.kill(-1, sig)", new: "if true {\n\t\ts.kill(-1, sig)", run: played},
	{name: "drain does not see that the rest has ended", file: "shim/drain.go", old: "case ok && e.Signal == unix.SIGCHLD:", new: "case false:", run: played},
	{name: "drain without its time-out", file: "shim/drain.go", old: "if s.DrainTimeout == 0 {", new: "if false {", run: played},

	// Log lines.
	{name: "long log lines are not cut", file: "shim/line.go", old: "piece[:min(len(piece), cap(lineBuffer[:])-len(b)-slotRoom)]", new: "piece", run: logged},
	{name: "a cut log line has no end", file: "shim/line.go", old: "if len(b) == 0 || b[len(b)-1] != '\\n' {", new: "if false {", run: logged},
	{name: "seconds lose a digit", file: "shim/line.go", old: "'0'+byte(rest/10%10)", new: "'0'+byte(rest%10)", run: logged},
	{name: "a slot that JSON quotes is a number", file: "shim/line.go", old: "case SlotPID, SlotFromPID,", new: "case SlotPID, SlotErrno, SlotFromPID,", run: logged},

	// What is said of a delegation.
	{name: "a stop signal does not interrupt a busy delegation", file: "shim/delegate.go", old: "s.Cgroup.Interrupted = s.stopPending", new: "s.Cgroup.Interrupted = func() bool { return false }", run: played},
	{name: "--cgroup=require starts the program all the same", file: "shim/delegate.go", old: "return ExitRequire", new: "return 0", run: played},
	{name: "require-v2 is an error on v1", file: "shim/delegate.go", old: "case s.CgroupMode == CgroupRequireV2 && !r.State.V2():", new: "case false:", run: played},
	{name: "an exec that was not asked warns", file: "shim/delegate.go", old: "r.Hint == \"\" || r.State == cgroup.NotInit && !asked", new: "r.Hint == \"\" || false && asked", run: played},
	{name: "require accepts a process outside of the namespace", file: "shim/delegate.go", old: "errors.Is(why, cgroup.ErrOutside) && !s.required()", new: "errors.Is(why, cgroup.ErrOutside)", run: played},
	{name: "require-v2 is auto", file: "shim/delegate.go", old: "return cgroup.RequireV2", new: "return cgroup.Auto", run: played},
	{name: "require is auto", file: "shim/delegate.go", old: "return cgroup.Require\n", new: "return cgroup.Auto\n", run: played},

	// Signals of its own.
	{name: "its own SIGPIPE is forwarded", file: "shim/process/signals_native.go", old: "case unix.SIGPIPE, unix.SIGXFSZ:", new: "case unix.SIGXFSZ:", run: "^TestSignals$"},
	{name: "its own SIGXFSZ is forwarded", file: "shim/process/signals_native.go", old: "case unix.SIGPIPE, unix.SIGXFSZ:", new: "case unix.SIGPIPE:", run: "^TestSignals$"},

	// Sets of signals.
	{name: "TRAP is forwarded", file: "shim/process/signal.go", old: "1<<(unix.SIGTRAP-1) | ", new: "", run: "TestForwardable|TestSets"},
	{name: "SYS is forwarded", file: "shim/process/signal.go", old: " | 1<<(unix.SIGSYS-1)", new: "", run: "TestForwardable|TestSets"},
	{name: "STOP is forwarded", file: "shim/process/signal.go", old: " | 1<<(unix.SIGSTOP-1)", new: "", run: "TestForwardable|TestSets"},
	{name: "33 is forwarded", file: "shim/process/signal.go", old: " | 1<<(33-1)", new: "", run: "TestForwardable|TestSets"},
	{name: "TTOU is forwarded", file: "shim/process/signal.go", old: " | 1<<(unix.SIGTTOU-1)", new: "", run: "TestForwardable|TestSets"},
	{name: "CHLD is forwarded", file: "shim/process/signal.go", old: " | 1<<(unix.SIGCHLD-1)", new: "", run: "TestForwardable|TestSets"},
	{name: "TTIN cannot be rewritten", file: "shim/process/signal.go", old: "notForwarded &^ terminal", new: "notForwarded", run: "TestForwardable|TestSets"},
	{name: "RTMAX counts upwards", file: "shim/process/signal.go", old: `{"RTMAX", rtmax, -1}`, new: `{"RTMAX", rtmax, 1}`, run: "^(TestParseSignal|TestSignalName)"},
	{name: "signal 0 is a signal", file: "shim/process/signal.go", old: "n < 1 || n >= numSignals", new: "n < 0 || n >= numSignals", run: "^(TestParseSignal|TestSignalName)"},
	{name: "signal 65 is a signal", file: "shim/process/signal.go", old: "n < 1 || n >= numSignals", new: "n < 1 || n > numSignals", run: "^(TestParseSignal|TestSignalName)"},
	{name: "bit 0 is signal 0", file: "shim/process/signal.go", old: "return 1 << (sig - 1)", new: "return 1 << sig", run: "TestForwardable|TestSets"},

	// The program, and what is written.
	{name: "an empty element of PATH is the root directory", file: "shim/process/path.go", old: "files = append(files, name)", new: `files = append(files, "/"+name)`, run: "Path"},
	{name: "a name with a slash is looked for", file: "shim/process/path.go", old: `name == "" || strings.Contains(name, "/")`, new: `name == ""`, run: "Path"},
	{name: "a stuck reader of the log is waited for", file: "shim/process/output.go", old: "setAlarm(patience)", new: "", run: "TestWriteError", explained: "the program would have to fill the pipe between a poll(2) and a write(2) of this process"},
	{name: "a long log line is written at once", file: "shim/process/output.go", old: "uintptr(min(len(p)-written, pipeBuf))", new: "uintptr(len(p) - written + 0*pipeBuf)", run: "TestWriteError"},
	{name: "the wait for a stuck reader is never short", file: "shim/process/output.go", old: "\tif !writable(2) {\n\t\tpatience = shortPatience", new: "\tif !writable(2) {\n\t\tpatience = longPatience", run: "TestWriteError"},
	{name: "EACCES of one directory of PATH is forgotten", file: "shim/process/program.go", old: "denied = true", new: "denied = false", run: "TestSpawn"},
	{name: "the first file that is missing ends the search", file: "shim/process/program.go", old: "case unix.ENOENT, unix.ENOTDIR,", new: "case unix.ENOTDIR,", run: "TestSpawn"},
	{name: "no script without #! starts", file: "shim/process/program.go", old: "if errno == unix.ENOEXEC {", new: "if false {", run: "TestSpawn"},
	{name: "a number ends one digit early", file: "shim/process/program.go", old: "'0' + byte(n%10)", new: "'0' + byte(n%9)", run: "TestReplace|TestSpawn"},
	{name: "a long file is read whole", file: "shim/process/files.go", old: "n == 0 || len(data) > MostRead", new: "n == 0", run: "TestReadFile"},
	{name: "a refused kill holds up the start", file: "shim/process/alone_native.go", old: "(refused || left <= 0)", new: "(left <= -10*naps || refused && false)", run: "TestAlone"},
	{name: "a signal that ends no thread holds up the start", file: "shim/process/alone_native.go", old: "left -= takenNap", new: "left -= takenNap / takenNap", run: "TestAlone"},
	{name: "a signal that comes too late ends a thread", file: "shim/process/alone_native.go", old: "atomic.SwapUint32(&ending, 0) == 1", new: "atomic.LoadUint32(&ending) == 1", run: "TestAlone"},
	{name: "PID 1 reads the program's files itself", file: "shim/process/ask_native.go", old: "if !alone {", new: "if true {", run: "TestAsk"},
	{name: "a reason is waited for without end", file: "shim/process/ask_native.go", old: "Now() >= deadline || hurry()", new: "hurry()", run: "TestAsk"},
	{name: "a stop signal does not end the wait for a reason", file: "shim/process/ask_native.go", old: "Now() >= deadline || hurry()", new: "Now() >= deadline", run: "TestAsk"},
	{name: "what looks for a reason stays", file: "shim/process/ask_native.go", old: "Kill(pid, unix.SIGKILL)", new: "", run: "TestAsk"},
	{name: "a reason that does not come changes the status", file: "shim/shim.go", old: "	level := LevelError\n	if s.Tini {", new: "	level := LevelError\n	if reason == \"\" {\n		return ExitFailure\n	}\n	if s.Tini {", run: played},
	{name: "the image is read after the start", file: "shim/process/image_native.go", old: "readPages(p.start, p.used)\n", new: "_ = readPages\n", run: "TestLoadAndPin"},
	{name: "the code stays in the file", file: "shim/process/image_native.go", old: "copyPages(p.start, p.used, p.flags)", new: "", run: "TestLoadAndPin"},
	{name: "the data stays in the file", file: "shim/process/image_native.go", old: "dirty(p.start, p.end, relro.start, relro.used)", new: "", run: "TestLoadAndPin"},
	{name: "a command with parentheses hides the parent", file: "shim/process/files.go", old: "for end >= 0 && data[end] != ')' {\n\t\tend--", new: "for end = 0; end < n-1 && data[end] != ')'; {\n\t\tend++", run: "TestParent"},

	// The command line.
	{name: "a time may be negative", file: "options.go", old: "if err != nil || d < 0 {", new: "if err != nil {", run: "Options|Duration"},
	{name: "a range of statuses may be empty", file: "options.go", old: "err2 != nil || from > to", new: "err2 != nil", run: "Options"},
	{name: "every signal can be rewritten", file: "options.go", old: "err == nil && !shim.Rewritable(src)", new: "false", run: "Options"},
	{name: "every signal can ask for an end", file: "options.go", old: "if !shim.Rewritable(sig) {", new: "if false {", run: "Options"},
	{name: "the leaf may have the name of a file", file: "options.go", old: ` || strings.HasPrefix(v, "cgroup.")`, new: "", run: "Options"},
	{name: "the leaf may be the cgroup above", file: "options.go", old: `v == ".." || `, new: "", run: "Options"},
	{name: "the leaf may have a name that is too long", file: "options.go", old: "len(v) > 255 || ", new: "", run: "Options"},
	{name: "oom_score_adj may be below -1000", file: "options.go", old: "n < -1000 || ", new: "", run: "Options"},
	{name: "a variable beats its option", file: "options.go", old: `given && o.env != "TINI_VERBOSITY"`, new: "false", run: "Options"},
	{name: "-v beats TINI_VERBOSITY", file: "options.go", old: `given && o.env != "TINI_VERBOSITY"`, new: "given", run: "Options"},
	{name: "an empty variable is a value", file: "options.go", old: `case v == "":`, new: "case false:", run: "Options"},
	{name: "auto by name acts anywhere without -x", file: "options.go", old: "s.CgroupMode == shim.CgroupExplicit && s.Exec", new: "s.CgroupMode == shim.CgroupExplicit", run: "Options"},
	{name: "--cgroup-timeout=0 is the default", file: "options.go", old: "s.Cgroup.Timeout = -1", new: "s.Cgroup.Timeout = 0", run: "Options"},
	{name: "limits are mirrored although they are not wanted", file: "options.go", old: "s.Cgroup.Mirror = cgroup.MirrorNothing", new: "s.Cgroup.Mirror = cgroup.MirrorLimits", run: "Options"},
	{name: "-e with nothing is an error", file: "options.go", old: `v = "0"`, new: `v = ""`, run: "Options"},

	// Refusals. See pure.
	{name: "the host's cgroups are changed", file: "cgroup/decide.go", old: "case f.OnHost:", new: "case false:", run: pure},
	{name: "hybrid is v1", file: "cgroup/decide.go", old: `case f.Unified != "" && len(f.V1) > 0:`, new: "case false:", run: pure},
	{name: "v1 is not refused", file: "cgroup/decide.go", old: "case len(f.V1) > 0:", new: "case false:", run: pure},
	{name: "a sandbox without cgroups could be delegated", file: "cgroup/decide.go", old: `case f.Unified == "" && f.Unreadable == "":`, new: "case false:", run: pure},
	{name: "the root of the initial namespace is delegated", file: "cgroup/decide.go", old: `f.Unified == "/" && f.CgroupNS == InitialCgroupNamespace, f.Own`, new: "f.Own", run: pure},
	{name: "the real root is delegated", file: "cgroup/decide.go", old: "f.Own != nil && f.Own.Root", new: "false", run: pure},
	{name: "an exec acts unasked", file: "cgroup/decide.go", old: "case !o.Anywhere && !f.entry():", new: "case false:", run: pure},
	{name: "an unknown own cgroup is not refused", file: "cgroup/decide.go", old: `case f.Unified == "":`, new: "case false:", run: pure},
	{name: "a symbolic link is followed", file: "cgroup/decide.go", old: "case f.Symlink:", new: "case false:", run: pure},
	{name: "a missing mount point is not refused", file: "cgroup/decide.go", old: "case f.Missing:", new: "case false:", run: pure},
	{name: "another file system is covered", file: "cgroup/decide.go", old: "case f.Mount != nil && !mounted:", new: "case false:", run: pure},
	{name: "a process outside of its namespace acts", file: "cgroup/decide.go", old: `case strings.HasPrefix(f.Unified, "/.."):`, new: "case false:", run: pure},
	{name: "a cgroup below a threaded domain is delegated", file: "cgroup/decide.go", old: `g.Type == "threaded" || g.Type == "domain invalid"`, new: `g.Type == "threaded"`, run: pure},
	{name: "a threaded cgroup is delegated", file: "cgroup/decide.go", old: `g.Type == "threaded" || g.Type == "domain invalid"`, new: `g.Type == "domain invalid"`, run: pure},
	{name: "CAP_SYS_ADMIN is not asked for", file: "cgroup/decide.go", old: "case (remount || unshare) && !f.SysAdmin:", new: "case false:", run: pure},
	{name: "a service changes the mounts of PID 1", file: "cgroup/decide.go", old: `case (remount || unshare) && f.Init != "" && f.Init != f.Unified:`, new: "case false:", run: pure},
	{name: "a change reaches the host by a shared mount", file: "cgroup/decide.go", old: "case remount && f.ParentShared && !ours:", new: "case false:", run: pure},
	{name: "what a killed run made shared is refused", file: "cgroup/decide.go", old: "case remount && f.ParentShared && !ours:", new: "case remount && f.ParentShared:", run: pure},
	{name: "a hidden own cgroup is not refused", file: "cgroup/decide.go", old: "case !remount && base == nil:", new: "case false:", run: pure},
	{name: "a read-only mount is not refused", file: "cgroup/decide.go", old: "case !remount && readOnly && !f.SysAdmin:", new: "case false && readOnly:", run: pure},
	{name: "a cgroup of another user is not refused", file: "cgroup/decide.go", old: "case base != nil && !base.Writable:", new: "case false:", run: pure},
	{name: "a disputed cgroup is delegated", file: "cgroup/decide.go", old: "if where.disputed {", new: "if false {", run: pure},

	// The process that acts, and the leaf.
	{name: "an exec in a pod is the entry point", file: "cgroup/decide.go", old: "return f.Parent == 0 && f.First", new: "return f.Parent == 0", run: pure},
	{name: "a child in a pod is the entry point", file: "cgroup/decide.go", old: "return f.Parent == 0 && f.First", new: "return f.First", run: pure},
	{name: "what an exec has left is the entry point", file: "cgroup/decide.go", old: " && (f.Session == f.InitSession || f.Session == f.PID)", new: "", run: pure},
	{name: "a service is the entry point", file: "cgroup/decide.go", old: ` && f.Init == f.Unified && (`, new: " && (", run: pure},
	{name: "init.scope is no leaf", file: "cgroup/decide.go", old: `name == "init.scope" || `, new: "", run: pure},
	{name: "a threaded domain is delegated already", file: "cgroup/decide.go", old: `len(g.Enabled) > 0 && g.Type == "domain"`, new: "len(g.Enabled) > 0", run: pure},
	{name: "the leaf of the real root is a leaf", file: "cgroup/decide.go", old: "case g.Root:", new: "case false:", run: pure},
	{name: "what was kept of another cgroup counts", file: "cgroup/decide.go", old: "f.Kept.ID == g.ID && ", new: "", run: pure},
	{name: "what was kept of another leaf counts", file: "cgroup/decide.go", old: " && f.Kept.Leaf == p.leaf", new: "", run: pure},
	{name: "a container beside the leaf is a leaf", file: "cgroup/decide.go", old: `deeper == "" && f.Strangers == 0`, new: `deeper == ""`, run: pure},
	{name: "a container that is called init is a leaf", file: "cgroup/decide.go", old: "len(g.Controllers) > 0 && len(g.Enabled) == 0", new: "len(g.Controllers) > 0", run: pure},

	// The plan.
	{name: "no unshare", file: "cgroup/decide.go", old: "p.add(unshareStep{})", new: "", run: pure},
	{name: "a threaded domain stays one", file: "cgroup/decide.go", old: `base == nil || base.Type == "domain threaded"`, new: "base == nil", run: pure},
	{name: "mounts below are removed", file: "cgroup/decide.go", old: "len(f.SubMounts) == 0 ||", new: "true ||", run: pure},
	{name: "a shared mount stays shared", file: "cgroup/decide.go", old: "isolate: mounted && !f.Mount.private()", new: "isolate: false", run: pure},
	{name: "the mirror is required", file: "cgroup/decide.go", old: "p.addOptional(mirrorStep", new: "p.add(mirrorStep", run: pure},
	{name: "memory.oom.group is required", file: "cgroup/decide.go", old: "p.addOptional(oomGroupStep", new: "p.add(oomGroupStep", run: pure},
	{name: "keeping the namespace is required", file: "cgroup/decide.go", old: "p.addOptional(keepStep", new: "p.add(keepStep", run: pure},
	{name: "joining the namespace is required", file: "cgroup/decide.go", old: "p.addOptional(joinStep", new: "p.add(joinStep", run: pure},
	{name: "nothing is kept beside another PID 1", file: "cgroup/decide.go", old: "pin := unshare && f.PID != 1", new: "pin := false", run: pure},
	{name: "the leaf of another name is not kept", file: "cgroup/decide.go", old: "pin || !known(p.leaf)", new: "pin", run: pure},
	{name: "hybrid is v2", file: "cgroup/decide.go", old: "s != Legacy && s != Hybrid && s != Absent", new: "s != Legacy && s != Absent", run: pure},

	// Modes.
	{name: "require-v2 is require", file: "cgroup/delegate.go", old: "m == RequireV2 && r.Plan.State.V2()", new: "m == RequireV2", run: pure},
	{name: "require is auto", file: "cgroup/delegate.go", old: "required := m == Require || ", new: "required := ", run: pure},
	{name: "any thread may apply a plan", file: "cgroup/delegate.go", old: "if thread == process {", new: "if true {", run: "OnlyOnTheMainThread"},

	// What is read.
	{name: "root of a user namespace writes what it cannot map", file: "cgroup/facts.go", old: "case f.Override && owned && grouped:", new: "case f.Override && owned:", run: parsing},
	{name: "the same for an owner", file: "cgroup/facts.go", old: "case f.Override && owned && grouped:", new: "case f.Override && grouped:", run: parsing},
	{name: "an owner has the permissions of the rest", file: "cgroup/facts.go", old: "return s.Mode&unix.S_IWUSR != 0", new: "return s.Mode&(unix.S_IWUSR|unix.S_IWGRP) != 0", run: parsing},
	{name: "supplementary groups do not count", file: "cgroup/facts.go", old: "(int(s.Gid) == f.GID || slices.Contains(f.Groups, int(s.Gid)))", new: "(int(s.Gid) == f.GID || false && slices.Contains(f.Groups, int(s.Gid)))", run: parsing},
	{name: "only cgroup.procs has to be writable", file: "cgroup/facts.go", old: `for _, name := range []string{"cgroup.procs", subtreeControl} {`, new: `for _, name := range []string{"cgroup.procs"} {`, run: "TestAGroupThatMayNotWrite", root: true},
	{name: "a command with parentheses hides the rest", file: "cgroup/parse.go", old: "strings.LastIndexByte(s, ')')", new: "strings.IndexByte(s, ')')", run: parsing},
	{name: "an escape has two digits", file: "cgroup/parse.go", old: "i += 3", new: "i += 2", run: parsing},
	{name: "processes of other PID namespaces are not counted", file: "cgroup/parse.go", old: "foreign++", new: "", run: parsing},
	{name: "every map of one line is the initial one", file: "cgroup/parse.go", old: ` && f[2] == "4294967295"`, new: "", run: parsing},
	{name: "the real UID counts for files", file: "cgroup/parse.go", old: "c.uid = number(f[3])", new: "c.uid = number(f[0])", run: parsing},
	{name: "/foobar is below /foo", file: "cgroup/parse.go", old: `ok && (rest == "" || rest[0] == '/')`, new: "ok", run: parsing},
	{name: "a path ends at a colon", file: "cgroup/parse.go", old: "m.unified = path", new: `m.unified, _, _ = strings.Cut(path, ":")`, run: parsing},
	{name: "a mount below is on top", file: "cgroup/parse.go", old: "covered = covered || o.Point == point && o.Parent == m.ID && o.ID != m.ID", new: "covered = covered || o.ID < 0", run: parsing},
	{name: "the quota is the limit of CPUs", file: "cgroup/limits.go", old: "n /= period", new: "", run: parsing},
	{name: "a limit near 2^63 is one", file: "cgroup/limits.go", old: "err != nil || n > unlimited/1000", new: "err != nil", run: parsing},

	// Limits that change.
	{name: "another cgroup is written", file: "cgroup/follow.go", old: "errno == 0 && id != f.id", new: "false && id != f.id", run: resizing},
	{name: "memory.oom.group is written for ever", file: "cgroup/follow.go", old: "errno == 0 && string(trimmed(f.value[:n])) != string(f.group)", new: "errno == 0 && n >= 0", run: resizing},
	{name: "memory.oom.group is not kept", file: "cgroup/follow.go", old: "f.keepOOMGroup(base)", new: "", run: resizing},
	{name: "what changed before the watch is not copied", file: "cgroup/follow.go", old: "f.copy() // copies", new: "// copies", run: resizing},
	{name: "events are left", file: "cgroup/follow.go", old: "if n, errno := rawRead(f.notify, f.events[:]); errno != 0 || n == 0 {", new: "if true {", run: resizing},
	{name: "a lower limit of the leaf is raised", file: "cgroup/mirror.go", old: "if f.copied && string(value)", new: "if false && string(value)", run: resizing},
	{name: "a limit below the use is copied", file: "cgroup/mirror.go", old: "if f.reclaims && exceeded(leaf, value) {", new: "if false {", run: resizing},
	{name: "a limit of swap waits too", file: "cgroup/mirror.go", old: "if f.reclaims && exceeded(leaf, value) {", new: "if exceeded(leaf, value) {", run: resizing},
	{name: "a limit above the use is not copied", file: "cgroup/mirror.go", old: "used > most", new: "used < most", run: resizing},
	{name: "a read-only leaf is an error", file: "cgroup/mirror.go", old: ", unix.EPERM, unix.EROFS:", new: ", unix.EPERM:", run: resizing},
	{name: "memory.oom.group is not mirrored", file: "cgroup/mirror.go", old: `"pids.max", oomGroupFile}`, new: `"pids.max"}`, run: resizing},
	{name: "the leaf keeps its own value", file: "cgroup/mirror.go", old: "rawWriteFile(leaf, &f.name[0], value, unix.O_NONBLOCK)", new: "rawWriteFile(leaf, &f.name[0], own, unix.O_NONBLOCK)", run: resizing},
	{name: "a file is a directory", file: "cgroup/events.go", old: "if directory && string(entry)", new: "if (directory || true) && string(entry)", run: resizing},
	{name: "a descriptor stays open", file: "cgroup/follow.go", old: "f.mirror.copy(base)\n\trawClose(base)", new: "f.mirror.copy(base)", run: resizing},

	// Steps, on the running kernel.
	{name: "controllers are not disabled again", file: "cgroup/enable.go", old: "a.onFailure(a.disable)", new: "", run: "TestEveryFault$/^private$", root: true},
	{name: "EBUSY is not tried again", file: "cgroup/enable.go", old: "a.retryOnEBUSY(a.enableAll)", new: "a.enableAll()", run: "TestEmptyButBusy", root: true},
	{name: "a controller that vanishes is an error", file: "cgroup/enable.go", old: "if is(err, unix.ENOENT, unix.EINVAL,", new: "if is(err, unix.EINVAL,", run: "TestControllerThatVanishes", root: true},
	{name: "the result is not read back", file: "cgroup/enable.go", old: "return a.confirm()", new: "return nil", run: "TestPrivateNamespace", root: true},
	{name: "processes of the leaf are moved back too", file: "cgroup/evacuate.go", old: "keep, _ = splitProcs(procs)", new: "_ = procs", run: "TestUndoLeaves", root: true},
	{name: "the leaf stays after a failure", file: "cgroup/evacuate.go", old: "a.onFailure(func() error { return a.removeLeaf(s.leaf) })", new: "", run: "TestNoControllerCanBeEnabled", root: true},
	{name: "processes stay in the leaf after a failure", file: "cgroup/evacuate.go", old: "err := a.moveBack(s.leaf, keep)", new: "err := error(nil)\n\t\t_ = keep", run: "TestNoControllerCanBeEnabled", root: true},
	{name: "the last round counts the processes of others", file: "cgroup/evacuate.go", old: "max(a.report.Foreign, foreign)", new: "foreign", run: "TestForeignProcessThatLeaves", root: true},
	{name: "a busy cgroup costs the CPU", file: "cgroup/evacuate.go", old: "if try >= immediate {", new: "if false {", run: "TestForeignProcessEnds", root: true},
	{name: "processes that come in are not moved", file: "cgroup/evacuate.go", old: "if err := a.evacuate(); err != nil {", new: "if err := error(nil); err != nil {", run: "TestForeignProcessThatLeaves|TestEmptyButBusy", root: true},
	{name: "a threaded leaf is used", file: "cgroup/evacuate.go", old: "return &Error{Op: \"read\", Path: s.leaf + \"/cgroup.type\", Data: kind, Err: unix.EOPNOTSUPP}", new: "_ = kind", run: "TestThreadedLeaf", root: true},
	{name: "steps are undone in the order of their doing", file: "cgroup/apply.go", old: "for i := len(a.undo) - 1; i >= 0; i-- {", new: "for i := range a.undo {", run: "TestNoControllerCanBeEnabled", root: true},
	{name: "an optional step ends the run", file: "cgroup/apply.go", old: "if err != nil && step.Optional {", new: "if false {", run: "TestTheNamespaceIsFound", root: true},
	{name: "an undo that fails is not said", file: "cgroup/apply.go", old: `err = fmt.Errorf("%w; not undone: %w", err, left)`, new: "_ = fmt.Sprint(left)", run: "TestAnUndoThatFails", root: true},
	{name: "a delegation is not said", file: "cgroup/apply.go", old: "a.report.Delegated = p.Refusal == nil", new: "a.report.Delegated = false", run: "TestPrivateNamespace", root: true},
	{name: "the lock is not taken", file: "cgroup/setup.go", old: "err = k.flock(fd, unix.LOCK_EX|unix.LOCK_NB)", new: "err = nil", run: "TestARunThatDoesNotEnd", root: true},
	{name: "the lock is not needed for steps", file: "cgroup/setup.go", old: "return len(p.Steps) > 0", new: "return false", run: "TestARunThatDoesNotEnd", root: true},
	{name: "without a lock nothing is done", file: "cgroup/setup.go", old: "if err == nil {\n\t\t\treturn func()", new: "if err != nil {\n\t\t\treturn nil, err\n\t\t}\n\t\tif err == nil {\n\t\t\treturn func()", run: "TestWithoutALock", root: true},
	{name: "what has moved is an error", file: "cgroup/setup.go", old: "if !moved(err) || ", new: "if true || ", run: "TestWhatHasMoved", root: true},
	{name: "the plan is older than the lock", file: "cgroup/setup.go", old: "\t\tp := Decide(k.observe(\"self\"), o)\n\t\t_, report", new: "\t\t_, report", run: "TestThePlanIsMadeUnderTheLock", root: true},
	{name: "a stop signal does not end the retries", file: "cgroup/setup.go", old: " || interrupted != nil && interrupted()", new: "", run: "TestOver"},
	{name: "the initial namespace may mount", file: "cgroup/mount.go", old: "if stat.Ino == InitialCgroupNamespace {", new: "if false {", run: "TestNoMountFrom", root: true},
	{name: "the flags of a read-only mount are lost", file: "cgroup/mount.go", old: "flags |= f.flag", new: "_ = f.flag", run: "TestReadOnlyMountIsMadeWritable", root: true},
	{name: "a mount stays writable after a failure", file: "cgroup/mount.go", old: `"", flags|unix.MS_RDONLY, ""`, new: `"", flags, ""`, run: "TestAnUndoThatFails|TestEveryFault$/^read-only$", root: true},
	{name: "a shared mount is covered in its peers", file: "cgroup/mount.go", old: "if !s.isolate {", new: "if true {", run: "TestSharedMount", root: true},
	{name: "a locked mount is removed", file: "cgroup/mount.go", old: "return is(err, unix.EAGAIN, unix.EBUSY)", new: "return true || err == nil", run: "TestMountIsNeverMissing/mounted", root: true},
	{name: "no mount goes beneath", file: "cgroup/mount.go", old: "if a.report.Replaced = a.placeBeneath(); !a.report.Replaced {", new: "if !a.report.Replaced {", run: "TestOldMountIsReplaced$", root: true},
	{name: "the old mount API is not tried", file: "cgroup/mount.go", old: "is(err, unix.ENOSYS, unix.EPERM, unix.EACCES)", new: "is(err, unix.EPERM, unix.EACCES)", run: "TestWithoutTheNewMountAPI", root: true},
	{name: "a symbolic link at the mount point is followed", file: "cgroup/apply.go", old: "unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC", new: "unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC", run: "TestSymbolicLink", root: true, explained: "the link is refused before a step could follow it, and a cgroup file system has no links"},
	{name: "the way back is not tried before", file: "cgroup/unshare.go", old: "if err := a.enter(old, ownNamespace); err != nil {\n\t\treturn err\n\t}\n\tif err := a.k.unshare", new: "if err := a.k.unshare", run: "TestDelegatedToAUserNamespaceInTheHosts", root: true},
	{name: "the namespace is not left after a failure", file: "cgroup/unshare.go", old: "a.onFailure(func() error { return a.enter(old, ownNamespace) })\n\treturn nil", new: "return nil", run: "TestForeignProcessEnds", root: true},
	{name: "the namespace is not kept", file: "cgroup/unshare.go", old: `if err := a.k.mount(ownNamespace, keptNamespace, "", unix.MS_BIND, ""); err != nil {`, new: "if err := error(nil); err != nil {", run: "TestRunsOfASupervisor", root: true},
	{name: "the namespace of PID 1 is not joined", file: "cgroup/unshare.go", old: "[]string{initNamespace, keptNamespace}", new: "[]string{keptNamespace}", run: "TestExecJoinsPID1ThatMovedDeeper", root: true},
	{name: "inner containers live on", file: "cgroup/events.go", old: "rawWriteFile(dir, &h.name[0], one, 0); errno != 0 && first == 0", new: "unix.Errno(0); errno != 0 && first == 0", run: "TestKillOthers", root: true},
	{name: "foreign processes are not named", file: "cgroup/error.go", old: "if e.Foreign > 0 {", new: "if false {", run: "TestForeignProcessEnds", root: true},
	{name: "a hint does not look at the errno", file: "cgroup/hint.go", old: "(row.err == 0 || errors.Is(e.Err, row.err))", new: "true", run: "TestARefusal|TestForeignProcessEnds|TestNoRoom", root: true},
}
