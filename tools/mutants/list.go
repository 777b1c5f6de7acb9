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
	naming   = "^(TestTheID|TestTheName|TestEveryRunKnows|TestAgents)"
	parsing  = "^(TestParse|TestSplit|TestIsInitial|TestMayWrite|TestLimit$|TestBelow|Fuzz)"
	resizing = "^(TestLimitsAreFollowed|TestALimitBelow|TestOOMGroupIsKept|TestAFailedCopy|TestMirrored|TestAnotherCgroup|TestNothing|TestUpdate|TestTheCount|TestWhichCgroups|TestACgroupThatGoes|TestProtectionIsCopied|TestLosses|TestFactsOfTheLeaf|TestAffinityAround)"
)

// Tests of shim in which a test plays the kernel, and those of its log lines. The other
// tests of the package take long.
const (
	played = "^(TestSupervise|TestMayWait|TestOrphansWithoutEnd|TestFreeze|TestClock|TestReport|TestExecFailure|TestDrain|TestSpawn|TestPrepare|TestDelegateSaysWhatWasDone|TestModes|TestAdopt|TestForwardOfCont)$"
	logged = "^(TestLongLines|TestAppendSeconds|TestLineFills|TestLineAsJSON)"
)

var mutants = []mutant{
	// The reaper.
	{name: "stops are told of unasked", file: "reaper/reaper.go", old: "if stops {", new: "if true {"},
	{name: "stops are never told of", file: "reaper/reaper.go", old: "if stops {", new: "if false {"},
	{name: "the wait blocks", file: "reaper/reaper.go", old: "uintptr(unix.WNOHANG)", new: "uintptr(0)", run: "TestReap/.*(returns|lives)"},
	{name: "wait4 is called refused", file: "reaper/reaper.go", old: "if errno == unix.ECHILD {", new: "if errno == 0 {"},

	// tini's messages.
	{name: "a line has the local time", file: "log.go", old: "time.Now().UTC()", new: "time.Now()", run: "TestConsole"},

	// What is said of a delegation.
	{name: "--cgroup=require starts the program all the same", file: "shim/delegate.go", old: "return ExitRequire", new: "return 0", run: played},
	{name: "an exec that was not asked warns", file: "shim/delegate.go", old: "r.Hint == \"\" || r.State == cgroup.NotInit && !asked", new: "r.Hint == \"\" || false && asked", run: played},
	{name: "require-v2 is auto", file: "shim/delegate.go", old: "return cgroup.RequireV2", new: "return cgroup.Auto", run: played},
	{name: "require is auto", file: "shim/delegate.go", old: "return cgroup.Require\n", new: "return cgroup.Auto\n", run: played},

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
	{name: "options of cgshim count behind the program for tini", file: "options.go", old: "strings.Contains(tiniShort, o.short)", new: "true", run: "TestRefusedAsByTini"},
	{name: "long options count behind the program for tini", file: "options.go", old: `o.long = "=" + o.long // no argument can be this long option`, new: "", run: "TestRefusedAsByTini"},
	{name: "a variable beats tini's option behind the program", file: "options.go", old: `|| behind.Changed("="+long)`, new: "", run: "TestOptions"},
	{name: "--version counts with others for tini", file: "options.go", old: "s.Tini && !s.single", new: "false", run: "TestRefusedAsByTini"},
	{name: "-h counts behind a mistake only", file: "options.go", old: `case s.print != "": // tini`, new: `case s.print != "" && err == nil: //`, run: "TestOptions"},
	{name: "TINI_VERBOSITY may not begin with a tab", file: "options.go", old: `" \t\n\v\f\r"`, new: `" "`, run: "TestOptions"},
	{name: "a negative TINI_VERBOSITY is nothing", file: "options.go", old: "min(uint32(atoi(v)), uint32(shim.LevelTrace))", new: "max(0, min(atoi(v), int32(shim.LevelTrace)))", run: "TestOptions"},
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
	{name: "a service changes the mounts of PID 1", file: "cgroup/decide.go", old: `case (remount || unshare) && f.Init != "" && f.Init != f.Unified && !where.holds(f.Init):`, new: "case false:", run: pure},
	{name: "a new mount reaches the host by a shared mount", file: "cgroup/decide.go", old: "case remount && f.Mount == nil && f.ParentShared:", new: "case false:", run: pure},
	{name: "a removal reaches the host by a shared mount", file: "cgroup/decide.go", old: "(!f.ParentShared || uncover) && ", new: "", run: pure},
	{name: "a mount that the host may share is taken for a killed run's", file: "cgroup/decide.go", old: " && (!f.ParentShared || f.tucked())", new: "", run: pure},
	{name: "a second mount stays after a kill", file: "cgroup/decide.go", old: "return where.begun && f.Under.shows(", new: "return false && f.Under.shows(", run: pure},
	{name: "a supervisor outside of the leaf is another container's", file: "cgroup/decide.go", old: "case f.leftBehind():", new: "case false:", run: pure},
	{name: "the leaf alone exhausts the limit", file: "cgroup/room.go", old: "roomDescendants = 3", new: "roomDescendants = 1", run: pure},
	{name: "the limits of the cgroups above do not count", file: "cgroup/room.go", old: "append([]*Group{f.Own}, f.Above...)", new: "[]*Group{base}", run: pure},
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
	{name: "a leaf with the ID is no leaf", file: "cgroup/decide.go", old: "automatic(name) || ", new: "", run: naming},
	{name: "the leaf ends in a row of 64 digits", file: "cgroup/leaf.go", old: `strings.Repeat(".", `, new: `strings.Repeat("0", `, run: naming},
	{name: "a name of any digits is a leaf", file: "cgroup/leaf.go", old: "len(id) == idKept && hexadecimal(id)", new: "len(id) == idKept", run: naming},
	{name: "a pod is named after its sandbox", file: "cgroup/leaf.go", old: `roots[terminationLog] != "" || `, new: "", run: naming},
	{name: "a pod with a log of its own is named after its sandbox", file: "cgroup/leaf.go", old: ` || path.Base(roots[etcHosts]) == "etc-hosts"`, new: "", run: naming},
	{name: "the files of two containers name one", file: "cgroup/leaf.go", old: "if id != \"\" && id != found {", new: "if false {", run: naming},
	{name: "a container of any directory is Docker's", file: "cgroup/leaf.go", old: ` || path.Base(path.Dir(dir)) != "containers"`, new: "", run: naming},
	{name: "an ID above is the container's", file: "cgroup/leaf.go", old: `strings.CutSuffix(p, "/container")`, new: `path.Dir(p), true`, run: naming},
	{name: "the mounts name a container whose path has no ID", file: "cgroup/leaf.go", old: `if path == "/" { //`, new: "if true { //", run: naming},
	{name: "the sibling has the name of the leaf", file: "cgroup/leaf.go", old: "if leaf == DefaultLeaf {", new: "if false {", run: naming},
	{name: "the sibling takes the last room", file: "cgroup/leaf.go", old: "room >= 3", new: "room >= 1", run: "TestNoRoomForASibling$", root: true},
	{name: "the sibling stays after a failure", file: "cgroup/leaf.go", old: "a.onFailure(func() error { return a.removeLeaf(name) })", new: "", run: "TestTheSiblingIsUndone", root: true},
	{name: "there is no sibling", file: "cgroup/evacuate.go", old: "a.makeSibling(s.sibling)", new: "", run: "TestAutomaticLeaf", root: true},
	{name: "a threaded domain is delegated already", file: "cgroup/decide.go", old: `len(g.Enabled) > 0 && g.Type == "domain"`, new: "len(g.Enabled) > 0", run: pure},
	{name: "the leaf of the real root is a leaf", file: "cgroup/decide.go", old: "case g.Root:", new: "case false:", run: pure},
	{name: "what was kept of another cgroup counts", file: "cgroup/decide.go", old: "f.Kept.ID == g.ID && ", new: "", run: pure},
	{name: "what was kept of another leaf counts", file: "cgroup/decide.go", old: " && f.Kept.Leaf == p.leaf", new: "", run: pure},
	{name: "a container beside the leaf is a leaf", file: "cgroup/decide.go", old: `deeper == "" && f.Strangers == 0`, new: `deeper == ""`, run: pure},
	{name: "a container that is called init is a leaf", file: "cgroup/decide.go", old: "len(g.Controllers) > 0 && len(g.Enabled) == 0", new: "len(g.Controllers) > 0", run: pure},

	// The plan.
	{name: "no unshare", file: "cgroup/decide.go", old: "p.add(unshareStep{})", new: "", run: pure},
	{name: "a threaded domain stays one", file: "cgroup/decide.go", old: `base == nil || base.Type == "domain threaded"`, new: "base == nil", run: pure},
	{name: "mounts below are removed", file: "cgroup/decide.go", old: "&& len(f.SubMounts) == 0", new: "", run: pure},
	{name: "a shared mount stays shared", file: "cgroup/decide.go", old: "isolate: mounted && !f.Mount.private()", new: "isolate: false", run: pure},
	{name: "the mirror is required", file: "cgroup/decide.go", old: "p.addOptional(mirrorStep", new: "p.add(mirrorStep", run: pure},
	{name: "memory.oom.group is required", file: "cgroup/decide.go", old: "p.addOptional(oomGroupStep", new: "p.add(oomGroupStep", run: pure},
	{name: "keeping the namespace is required", file: "cgroup/decide.go", old: "p.addOptional(keepStep", new: "p.add(keepStep", run: pure},
	{name: "joining the namespace is required", file: "cgroup/decide.go", old: "p.addOptional(joinStep", new: "p.add(joinStep", run: pure},
	{name: "nothing is kept beside another PID 1", file: "cgroup/decide.go", old: "pin := unshare && f.PID != 1", new: "pin := false", run: pure},
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
	{name: "a mount below is on top", file: "cgroup/parse.go", old: "covered[m.Parent] = true", new: "covered[-1] = true", run: parsing},
	{name: "the quota is the limit of CPUs", file: "cgroup/limits.go", old: "n /= period", new: "", run: parsing},
	{name: "a limit near 2^63 is one", file: "cgroup/limits.go", old: "err != nil || n > unlimited/1000", new: "err != nil", run: parsing},

	// Limits that change.
	{name: "another cgroup is written", file: "cgroup/follow.go", old: "err == nil && s.Ino != id", new: "err == nil && s.Ino == 0", run: resizing},
	{name: "memory.oom.group is written for ever", file: "cgroup/follow.go", old: "is(err, unix.ENOENT) || now == value", new: `is(err, unix.ENOENT) || now == ""`, run: resizing},
	{name: "memory.oom.group is not kept", file: "cgroup/follow.go", old: "kept := k.keepOOMGroup(base, m.oomGroup)", new: "var kept error", run: resizing},
	{name: "what changed before the watch is not copied", file: "cgroup/follow.go", old: "if _, err := f.Update(); is(err, unix.ESTALE) {", new: "if err := error(nil); err != nil {", run: resizing},
	{name: "events are left", file: "cgroup/follow.go", old: "f.kernel.read(f.notify,", new: "f.kernel.read(-1,", run: resizing},
	{name: "a lower limit of the leaf is raised", file: "cgroup/mirror.go", old: " || value == f.copied {", new: " {", run: resizing},
	{name: "a limit below the use is copied", file: "cgroup/mirror.go", old: `if f.name == "memory.max" && k.exceeded(base, leaf, value) {`, new: "if false {", run: resizing},
	{name: "a limit of swap waits too", file: "cgroup/mirror.go", old: `if f.name == "memory.max" && k.exceeded(base, leaf, value) {`, new: "if k.exceeded(base, leaf, value) {", run: resizing},
	{name: "a limit above the use is not copied", file: "cgroup/mirror.go", old: "used > most", new: "used < most", run: resizing},
	{name: "a read-only leaf is an error", file: "cgroup/mirror.go", old: ", unix.EPERM, unix.EROFS)", new: ", unix.EPERM)", run: resizing},
	{name: "memory.oom.group is not mirrored", file: "cgroup/files.go", old: `{oomGroupFile, classLimit, "0", "copied"},`, new: "", run: resizing},
	{name: "protection is copied although it passes on", file: "cgroup/files.go", old: "!(recursive && f.note == unlessRecursive)", new: "true", run: resizing},
	{name: "protection is never copied", file: "cgroup/files.go", old: "!(recursive && f.note == unlessRecursive)", new: "f.note != unlessRecursive", run: resizing},
	{name: "the first mount is the hierarchy", file: "cgroup/files.go", old: `strings.Cut(line, " - cgroup2 ")`, new: `strings.Cut(line, " - ")`, run: resizing},
	{name: "a leaf that is not made yet has nothing", file: "cgroup/inside.go", old: "!exists && what == MirrorLimits", new: "false", run: resizing},
	{name: "the affinity is not restored", file: "cgroup/affinity.go", old: "a.k.setAffinity(thread, &old)", new: "a.k.setAffinity(thread, &now)", run: resizing},
	{name: "the affinity is set although it is kept", file: "cgroup/affinity.go", old: " || now == old {", new: " {", run: resizing},
	{name: "a thread that ends is an error", file: "cgroup/affinity.go", old: "err != nil && err != unix.ESRCH", new: "err != nil", run: resizing},
	{name: "the leaf keeps its threads' new affinity", file: "cgroup/affinity.go", old: `, a.leafName() + "/cgroup.threads"}`, new: "}", run: resizing},
	{name: "the leaf keeps its own value", file: "cgroup/mirror.go", old: `k.writeFlags(base, leaf+"/"+f.name, value, unix.O_NONBLOCK)`, new: `k.writeFlags(base, leaf+"/"+f.name, own, unix.O_NONBLOCK)`, run: resizing},
	{name: "a file is a cgroup", file: "cgroup/events.go", old: "is(err, unix.ENOTDIR, unix.ENOENT)", new: "is(err, unix.ENOENT)", run: resizing},
	{name: "a descriptor stays open", file: "cgroup/follow.go", old: "defer k.close(base)\n\tkept", new: "kept", run: resizing},
	{name: "what another process has copied is forgotten", file: "cgroup/mirrored.go", old: "copiedFile{name, copied}", new: "copiedFile{name, copied[:0]}", run: resizing},
	{name: "the leaf of PID 1 is killed", file: "cgroup/events.go", old: "if name == leaf {", new: "if false {", run: resizing},

	// Steps, on the running kernel.
	{name: "controllers are not disabled again", file: "cgroup/enable.go", old: "a.onFailure(a.disable)", new: "", run: "TestEveryFault$/^private$", root: true},
	{name: "EBUSY is not tried again", file: "cgroup/enable.go", old: "a.retryOnEBUSY(a.enableAll)", new: "a.enableAll()", run: "TestEmptyButBusy", root: true},
	{name: "a controller that vanishes is an error", file: "cgroup/enable.go", old: "if is(err, unix.ENOENT, unix.EINVAL,", new: "if is(err, unix.EINVAL,", run: "TestControllerThatVanishes", root: true},
	{name: "the result is not read back", file: "cgroup/enable.go", old: "return a.confirm()", new: "return nil", run: "TestPrivateNamespace", root: true},
	{name: "processes of the leaf are moved back too", file: "cgroup/evacuate.go", old: "keep, _ = splitProcs(procs)", new: "_ = procs", run: "TestUndoLeaves", root: true},
	{name: "the leaf stays after a failure", file: "cgroup/evacuate.go", old: "a.onFailure(func() error { return a.removeLeaf(s.leaf) })", new: "", run: "TestNoControllerCanBeEnabled", root: true},
	{name: "processes stay in the leaf after a failure", file: "cgroup/evacuate.go", old: "return a.moveBack(s.leaf, keep) })", new: "_ = keep; return nil })", run: "TestNoControllerCanBeEnabled", root: true},
	{name: "the last round counts the processes of others", file: "cgroup/evacuate.go", old: "max(a.report.Foreign, foreign)", new: "foreign", run: "TestForeignProcessThatLeaves", root: true},
	{name: "a busy cgroup costs the CPU", file: "cgroup/evacuate.go", old: "if try >= immediate {", new: "if false {", run: "TestForeignProcessEnds", root: true},
	{name: "processes that come in are not moved", file: "cgroup/evacuate.go", old: "if err := a.evacuate(); err != nil {", new: "if err := error(nil); err != nil {", run: "TestForeignProcessThatLeaves|TestEmptyButBusy", root: true},
	{name: "a threaded leaf is used", file: "cgroup/evacuate.go", old: "return &Error{Op: \"read\", Path: s.leaf + \"/cgroup.type\", Data: kind, Err: unix.EOPNOTSUPP}", new: "_ = kind", run: "TestThreadedLeaf", root: true},
	{name: "steps are undone in the order of their doing", file: "cgroup/apply.go", old: "range slices.Backward(a.undo)", new: "range slices.All(a.undo)", run: "TestNoControllerCanBeEnabled", root: true},
	{name: "an optional step ends the run", file: "cgroup/apply.go", old: "if err != nil && step.Optional {", new: "if false {", run: "TestTheNamespaceIsFound", root: true},
	{name: "an undo that fails is not said", file: "cgroup/apply.go", old: "if left := a.rollBack(); left != nil {", new: "if left := a.rollBack(); left != nil && a.start.IsZero() {", run: "TestAnUndoThatFails", root: true},
	{name: "a delegation is not said", file: "cgroup/apply.go", old: "a.report.Delegated = p.Refusal == nil", new: "a.report.Delegated = false", run: "TestPrivateNamespace", root: true},
	{name: "the lock is not taken", file: "cgroup/lock.go", old: "err = k.flock(fd, unix.LOCK_EX|unix.LOCK_NB)", new: "err = nil", run: "TestARunThatDoesNotEnd", root: true},
	{name: "the lock is not needed for steps", file: "cgroup/setup.go", old: "return p.State != Delegated", new: "return false", run: "TestARunThatDoesNotEnd", root: true},
	{name: "a delegated cgroup needs the lock", file: "cgroup/setup.go", old: "return p.State != Delegated", new: "return true", run: "TestADelegatedContainerNeedsNoLock", root: true},
	{name: "without a lock nothing is done", file: "cgroup/lock.go", old: "\t\tk.close(fd)\n\t}\n\treturn func() {}, ignored, nil", new: "\t\treturn nil, ignored, err\n\t}\n\treturn func() {}, ignored, nil", run: "TestWithoutALock", root: true},
	{name: "a lock of another container is waited for", file: "cgroup/lock.go", old: "if pid == 0 {", new: "if false {", run: "TestALockOfAnotherContainer", root: true},
	{name: "other mounts are this container's", file: "cgroup/lock.go", old: "own.Ino != other.Ino", new: "false", run: "TestALockOfAContainerWith", root: true},
	{name: "a room of another user will do", file: "cgroup/state.go", old: " || int(s.Uid) != k.geteuid()", new: "", run: "TestWhatIsInThePlace", root: true},
	{name: "a room that others may enter will do", file: "cgroup/state.go", old: "unix.S_IFDIR|0o700, unix.S_IFMT|0o777", new: "unix.S_IFDIR, unix.S_IFMT", run: "TestWhatIsInThePlace", root: true},
	{name: "a link to a room will do", file: "cgroup/state.go", old: "unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK", new: "unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK", run: "TestWhatIsInThePlace", root: true},
	{name: "the note of another container counts", file: "cgroup/facts.go", old: "ok && n.mountNS == o.MountNS", new: "ok", run: "TestHostileRunDoesNotKeepFromDelegating", root: true},
	{name: "the host gets the chores", file: "shim/dind.go", old: "case onHost():", new: "case false:", run: "TestPrepareDind"},
	{name: "a daemon may be another user's", file: "shim/dind.go", old: " || s.Uid != owner", new: "", run: "TestAProcessOfAnotherUser", root: true},
	{name: "an open of a pid file waits", file: "shim/dind.go", old: "unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK", new: "unix.O_RDONLY|unix.O_NOFOLLOW", run: "TestHostilePidFiles"},
	{name: "what has moved is an error", file: "cgroup/setup.go", old: "if !moved(err) || ", new: "if true || ", run: "TestWhatHasMoved", root: true},
	{name: "the plan is older than the lock", file: "cgroup/setup.go", old: "\t\tp, err := k.plan(o)\n", new: "", run: "TestThePlanIsMadeUnderTheLock", root: true},
	{name: "a stop signal does not end the retries", file: "cgroup/setup.go", old: " || interrupted != nil && interrupted()", new: "", run: "TestOver"},
	{name: "the initial namespace may mount", file: "cgroup/mount.go", old: "if stat.Ino == InitialCgroupNamespace {", new: "if false {", run: "TestNoMountFrom", root: true},
	{name: "the flags of a read-only mount are lost", file: "cgroup/mount.go", old: "flags |= f.flag", new: "_ = f.flag", run: "TestReadOnlyMountIsMadeWritable", root: true},
	{name: "a mount stays writable after a failure", file: "cgroup/mount.go", old: `s.remount(a, "ro", unix.MS_RDONLY)`, new: `s.remount(a, "ro", 0)`, run: "TestAnUndoThatFails|TestEveryFault$/^read-only$", root: true},
	{name: "a shared mount is covered in its peers", file: "cgroup/mount.go", old: "if !s.isolate {", new: "if true {", run: "TestSharedMount", root: true},
	{name: "a locked mount is removed", file: "cgroup/mount.go", old: "return is(err, unix.EAGAIN, unix.EBUSY)", new: "return true || err == nil", run: "TestMountIsNeverMissing/mounted", root: true},
	{name: "no mount goes beneath", file: "cgroup/mount.go", old: "if a.report.Replaced = a.placeBeneath(); !a.report.Replaced {", new: "if !a.report.Replaced {", run: "TestOldMountIsReplaced$", root: true},
	{name: "the old mount API is not tried", file: "cgroup/mount.go", old: "is(err, unix.ENOSYS, unix.EPERM, unix.EACCES)", new: "is(err, unix.EPERM, unix.EACCES)", run: "TestWithoutTheNewMountAPI", root: true},
	{name: "a symbolic link at the mount point is followed", file: "cgroup/kernel.go", old: "unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC", new: "unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC", run: "TestSymbolicLink", root: true, explained: "the link is refused before a step could follow it, and a cgroup file system has no links"},
	{name: "the way back is not tried before", file: "cgroup/unshare.go", old: "if err := a.enter(old, ownNamespace); err != nil {\n\t\treturn err\n\t}\n\tif err := a.k.unshare", new: "if err := a.k.unshare", run: "TestDelegatedToAUserNamespaceInTheHosts", root: true},
	{name: "the namespace is not left after a failure", file: "cgroup/unshare.go", old: "a.onFailure(func() error { return a.enter(old, ownNamespace) })\n\treturn nil", new: "return nil", run: "TestForeignProcessEnds", root: true},
	{name: "inner containers live on", file: "cgroup/events.go", old: `if err := k.killGroup(point + "/" + name); err != nil && first == nil {`, new: "if err := error(nil); err != nil && first == nil {", run: resizing},
	{name: "the namespace is not kept", file: "cgroup/pin.go", old: `if err := a.k.mount(ownNamespace, descriptor(file), "", unix.MS_BIND, ""); err != nil {`, new: "if err := error(nil); err != nil {", run: "TestRunsOfASupervisor", root: true},
	{name: "the namespace of PID 1 is not joined", file: "cgroup/unshare.go", old: "append([]string{initNamespace}, pins()...)", new: "pins()", run: "TestExecJoinsPID1ThatMovedDeeper", root: true},
	{name: "foreign processes are not named", file: "cgroup/error.go", old: "if e.Foreign > 0 {", new: "if false {", run: "TestForeignProcessEnds", root: true},
	{name: "a hint does not look at the errno", file: "cgroup/hint.go", old: "(row.err == 0 || errors.Is(e.Err, row.err))", new: "true", run: "TestARefusal|TestForeignProcessEnds|TestNoRoom", root: true},

	// The life of PID 1.
	{name: "what has ended before the first signal is not reaped", file: "shim/pid1/loop.go", old: "\t\tl.early = true\n\t\tl.reapAll()\n", new: "\t\tl.early = true\n"},
	{name: "a time-out is over a moment later", file: "shim/pid1/clock.go", old: "return c.running && c.left <= 0", new: "return c.running && c.left < 0"},
	{name: "frozen time counts", file: "shim/pid1/clock.go", old: "if w.froze || d > longestLap {", new: "if false {"},
	{name: "what is expected is not", file: "shim/pid1/end.go", old: "if l.orders.ExpectExit[status&255] {", new: "if false {"},
	{name: "a long element of PATH ends the search", file: "shim/pid1/spawn.go", old: "end-from >= unix.PathMax", new: "false"},
	{name: "text that does not fit is not cut", file: "shim/pid1/orders.go", old: "func (f *Fixed) Set(s string) { f.size = uint32(copy(f.text[:], s)) }", new: "func (f *Fixed) Set(s string) { copy(f.text[:], s); f.size = uint32(len(s)) }"},
}
