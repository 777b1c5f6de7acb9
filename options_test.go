package main

import (
	"strings"
	"testing"
	"time"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim"
)

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name      string
		args, env []string
		holds     func(*settings) bool
	}{
		{"parsing stops at the first non-option", []string{"cgshim", "ls", "-l", "X"}, nil, func(s *settings) bool { return strings.Join(s.Args, " ") == "ls -l X" && s.print == "" }},
		{"only the first -- is dropped", []string{"cgshim", "--", "echo", "--", "b"}, nil, func(s *settings) bool { return strings.Join(s.Args, " ") == "echo -- b" }},
		{"with --dind options alone are dockerd's", []string{"cgshim", "--dind", "--", "--debug"}, nil, func(s *settings) bool { return strings.Join(s.Args, " ") == "dockerd --debug" }},
		{"with --dind dockerd is the default", []string{"cgshim", "--dind", "--"}, nil, func(s *settings) bool { return strings.Join(s.Args, " ") == "dockerd" }},
		{"with --dind --check alone is cgshim's", []string{"cgshim", "--dind", "--", "--check"}, nil, func(s *settings) bool { return s.check && !s.json }},
		{"with --dind --check --json too", []string{"cgshim", "--dind", "--", "--check", "--json"}, nil, func(s *settings) bool { return s.check && s.json }},
		{"with --dind a program stays", []string{"cgshim", "--dind", "--", "sh", "--debug"}, nil, func(s *settings) bool { return strings.Join(s.Args, " ") == "sh --debug" }},
		{"without --dind an option is a program", []string{"cgshim", "--", "--debug"}, nil, func(s *settings) bool { return strings.Join(s.Args, " ") == "--debug" }},
		{"short options group", []string{"cgshim", "-vvsg", "x"}, nil, func(s *settings) bool { return s.verbosity == 3 && s.Subreaper && s.KillGroup }},
		{"values attach", []string{"cgshim", "-pSIGTERM", "-e143", "x"}, nil, func(s *settings) bool { return s.ParentDeath == 15 && s.ExpectExit[143] }},
		{"a list of ranges", []string{"cgshim", "-e", "1,100-102", "-e", "7", "x"}, nil, func(s *settings) bool {
			return s.ExpectExit[1] && s.ExpectExit[101] && s.ExpectExit[7] && !s.ExpectExit[103]
		}},
		{"TINI_SUBREAPER empty is on", []string{"tini", "x"}, []string{"TINI_SUBREAPER="}, func(s *settings) bool { return s.Subreaper }},
		{"TINI_KILL_PROCESS_GROUP=0 is on", []string{"tini", "x"}, []string{"TINI_KILL_PROCESS_GROUP=0"}, func(s *settings) bool { return s.KillGroup }},
		{"TINI_VERBOSITY beats -v", []string{"tini", "-vvv", "x"}, []string{"TINI_VERBOSITY=2"}, func(s *settings) bool { return s.verbosity == 2 }},
		{"a flag beats its variable", []string{"cgshim", "--stop-timeout=3s", "x"}, []string{"CGSHIM_STOP_TIMEOUT=9s"}, func(s *settings) bool { return s.StopTimeout == 3*time.Second }},
		{"a variable alone", []string{"cgshim", "x"}, []string{"CGSHIM_STOP_TIMEOUT=9"}, func(s *settings) bool { return s.StopTimeout == 9*time.Second }},
		{"an empty variable is not set", []string{"cgshim", "x"}, []string{"CGSHIM_CGROUP="}, func(s *settings) bool { return s.CgroupMode == shim.CgroupAuto }},
		{"CGSHIM_DIND=0 is off", []string{"cgshim", "x"}, []string{"CGSHIM_DIND=0"}, func(s *settings) bool { return !s.Dind }},
		{"podman-init leaves cgroups alone", []string{"/run/podman-init", "--", "x"}, nil, func(s *settings) bool { return s.Tini && s.CgroupMode == shim.CgroupOff }},
		{"docker-init leaves cgroups alone", []string{"/sbin/docker-init", "--", "x"}, nil, func(s *settings) bool { return s.Tini && s.CgroupMode == shim.CgroupOff }},
		{"--quiet is no verbosity", []string{"cgshim", "--quiet", "x"}, nil, func(s *settings) bool { return s.quiet && s.verbosity == 1 }},
		{"CGSHIM_QUIET", []string{"cgshim", "x"}, []string{"CGSHIM_QUIET=1"}, func(s *settings) bool { return s.quiet }},
		{"require-v2 acts in any process", []string{"cgshim", "--cgroup=require-v2", "x"}, nil, func(s *settings) bool { return s.CgroupMode == shim.CgroupRequireV2 && s.Cgroup.Anywhere }},
		{"require-v2 by its variable", []string{"cgshim", "x"}, []string{"CGSHIM_CGROUP=require-v2"}, func(s *settings) bool { return s.CgroupMode == shim.CgroupRequireV2 && s.Cgroup.Anywhere }},
		{"TINI_VERBOSITY is read as by atoi", []string{"tini", "x"}, []string{"TINI_VERBOSITY= 3x"}, func(s *settings) bool { return s.verbosity == 3 }},
		{"tini's options behind the program", []string{"tini", "-g", "x", "-vv", "-e7", "y", "--", "-s"}, []string{"CGSHIM_EXPECT_EXIT=9"}, func(s *settings) bool {
			return s.KillGroup && s.verbosity == 3 && s.ExpectExit[7] && !s.ExpectExit[9] && !s.Subreaper && strings.Join(s.Args, " ") == "x y -s"
		}},
		{"cgshim's options before the program", []string{"tini", "--cgroup=auto", "-x", "x"}, nil, func(s *settings) bool { return s.Exec && s.CgroupMode == shim.CgroupExplicit }},
		{"a variable of cgshim under tini's names", []string{"/sbin/docker-init", "--", "x"}, []string{"CGSHIM_CGROUP=auto", "CGSHIM_DIND=1"}, func(s *settings) bool { return s.Dind && s.CgroupMode == shim.CgroupExplicit }},
		{"POSIXLY_CORRECT leaves options behind the program", []string{"tini", "x", "-v"}, []string{"POSIXLY_CORRECT="}, func(s *settings) bool { return s.verbosity == 1 && len(s.Args) == 2 }},
		{"-h prints before a mistake counts", []string{"tini", "-h", "-z"}, nil, func(s *settings) bool { return s.print != "" }},
		{"a tab before TINI_VERBOSITY", []string{"tini", "x"}, []string{"TINI_VERBOSITY=\t3"}, func(s *settings) bool { return s.verbosity == 3 }},
		{"two signs of TINI_VERBOSITY", []string{"tini", "x"}, []string{"TINI_VERBOSITY=++2"}, func(s *settings) bool { return s.verbosity == 0 }},
		{"a TINI_VERBOSITY of 32 bits", []string{"tini", "x"}, []string{"TINI_VERBOSITY=4294967298"}, func(s *settings) bool { return s.verbosity == 2 }},
		{"a negative TINI_VERBOSITY is everything, as for tini", []string{"tini", "x"}, []string{"TINI_VERBOSITY=-1"}, func(s *settings) bool { return s.verbosity == 4 }},
		{"an empty CGSHIM_LOG_FORMAT is not set", []string{"cgshim", "x"}, []string{"CGSHIM_LOG_FORMAT="}, func(s *settings) bool { return !s.json }},
		{"--json=0 beats CGSHIM_LOG_FORMAT", []string{"cgshim", "--json=0", "x"}, []string{"CGSHIM_LOG_FORMAT=json"}, func(s *settings) bool { return !s.json }},
		{"-e with nothing is 0, as for tini", []string{"tini", "-e", "", "x"}, nil, func(s *settings) bool { return s.ExpectExit[0] && !s.ExpectExit[1] }},
		{"rewrite by name and number", []string{"cgshim", "-r", "TERM:QUIT", "-r", "1:0", "x"}, nil, func(s *settings) bool { return s.Rewrite[15] == 3 && s.Rewrite[1] == 0 && len(s.Rewrite) == 2 }},
		{"auto by name with -x acts anywhere", []string{"cgshim", "-x", "--cgroup=auto", "x"}, nil, func(s *settings) bool { return s.Cgroup.Anywhere }},
		{"auto by default does not", []string{"cgshim", "-x", "x"}, nil, func(s *settings) bool { return !s.Cgroup.Anywhere }},
		{"nor does auto by name without -x", []string{"cgshim", "--cgroup=auto", "x"}, nil, func(s *settings) bool { return !s.Cgroup.Anywhere }},
		{"require acts anywhere", []string{"cgshim", "--cgroup=require", "x"}, nil, func(s *settings) bool { return s.Cgroup.Anywhere }},
		{"the name of the leaf is chosen", []string{"cgshim", "--cgroup-leaf=auto", "x"}, []string{"CGSHIM_CGROUP_LEAF=shim"}, func(s *settings) bool { return s.Cgroup.Leaf == "" }},
		{"init is a name of the leaf", []string{"cgshim", "--cgroup-leaf=init", "x"}, nil, func(s *settings) bool { return s.Cgroup.Leaf == "init" }},
		{"limits are mirrored", []string{"cgshim", "x"}, nil, func(s *settings) bool { return s.Cgroup.Mirror == cgroup.MirrorLimits }},
		{"--mirror-limits=off", []string{"cgshim", "--mirror-limits=off", "x"}, nil, func(s *settings) bool { return s.Cgroup.Mirror == cgroup.MirrorNothing }},
		{"CGSHIM_MIRROR_LIMITS=off", []string{"cgshim", "x"}, []string{"CGSHIM_MIRROR_LIMITS=off"}, func(s *settings) bool { return s.Cgroup.Mirror == cgroup.MirrorNothing }},
		{"oom_score_adj is kept", []string{"cgshim", "--oom-score-adj=keep", "x"}, []string{"CGSHIM_OOM_SCORE_ADJ=5"}, func(s *settings) bool { return s.OOMScoreAdj == "" }},
		{"a negative oom_score_adj", []string{"cgshim", "--oom-score-adj", "-500", "x"}, nil, func(s *settings) bool { return s.OOMScoreAdj == "-500" }},
		{"oom_score_adj as a number is written", []string{"cgshim", "x"}, []string{"CGSHIM_OOM_SCORE_ADJ=+0100"}, func(s *settings) bool { return s.OOMScoreAdj == "100" }},
		{"no time for a busy delegation", []string{"cgshim", "--cgroup-timeout=0", "x"}, nil, func(s *settings) bool { return s.Cgroup.Timeout < 0 }},
		{"--no-env leaves the image's variables", []string{"cgshim", "--no-env", "x"}, []string{"CGSHIM_EXPECT_EXIT=0-255", "CGSHIM_CGROUP=off", "TINI_VERBOSITY=0", "TINI_SUBREAPER=", "CGSHIM_LOG_FORMAT=json", "CGSHIM_X=1"}, func(s *settings) bool {
			return !s.ExpectExit[42] && s.CgroupMode == shim.CgroupAuto && s.verbosity == 1 && !s.Subreaper && !s.json && len(s.unknown) == 0 && len(s.Env) == 6
		}},
		{"--no-env leaves the operator's options", []string{"docker-init", "--no-env", "-e", "7", "x"}, []string{"CGSHIM_EXPECT_EXIT=42"}, func(s *settings) bool { return s.ExpectExit[7] && !s.ExpectExit[42] }},
		{"no variable is --no-env", []string{"cgshim", "x"}, []string{"CGSHIM_NO_ENV=1", "CGSHIM_QUIET=1"}, func(s *settings) bool { return !s.noEnv && s.quiet && s.unknown[0] == "CGSHIM_NO_ENV" }},
		{"a misspelt variable is noted", []string{"cgshim", "x"}, []string{"CGSHIM_STOPTIMEOUT=5s", "CGSHIM_STOP_TIMEOUT=5s", "CGSHIM_LOG_FORMAT=json", "XCGSHIM_A=1"}, func(s *settings) bool {
			return strings.Join(s.unknown, " ") == "CGSHIM_STOPTIMEOUT"
		}},
		{"an option is named as what asks for a delegation", []string{"cgshim", "--cgroup=require", "x"}, []string{"CGSHIM_CGROUP=off"}, func(s *settings) bool { return s.CgroupFrom == "--cgroup=require" }},
		{"so is a variable", []string{"cgshim", "x"}, []string{"CGSHIM_CGROUP=require-v2"}, func(s *settings) bool { return s.CgroupFrom == "CGSHIM_CGROUP=require-v2" }},
		{"--version wins over what is missing", []string{"cgshim", "--version"}, nil, func(s *settings) bool { return strings.HasPrefix(s.print, "cgshim version ") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := parseOptions(c.args, c.env)
			if err != nil || !c.holds(s) {
				t.Errorf("%s: %v, %+v", c.name, err, s)
			}
		})
	}
}

// Every message names the option or the variable, and the value.
func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		args, env []string
		names     []string
	}{
		{[]string{"--frob"}, nil, []string{"--frob"}},
		{[]string{"-z"}, nil, []string{"z"}},
		{[]string{"-p"}, nil, []string{"p"}},
		{[]string{"-p", "SIGFOO", "x"}, nil, []string{"--parent-death-signal", "SIGFOO"}},
		{[]string{"-e", "256", "x"}, nil, []string{"--expect-exit", "256"}},
		{[]string{"-e", "9-3", "x"}, nil, []string{"--expect-exit", "9-3"}},
		{[]string{"-e", "abc", "x"}, nil, []string{"--expect-exit", "abc"}},
		{[]string{"-r", "TERM", "x"}, nil, []string{"--rewrite", "TERM"}},
		{[]string{"-r", "CHLD:TERM", "x"}, nil, []string{"--rewrite", "CHLD"}},
		{[]string{"-r", "SIGSEGV:TERM", "x"}, nil, []string{"--rewrite", "SIGSEGV"}},
		{[]string{"--cgroup=maybe", "x"}, nil, []string{"--cgroup", "maybe"}},
		{[]string{"-q", "x"}, nil, []string{"'q'"}},
		{[]string{"--cgroup-leaf=a/b", "x"}, nil, []string{"--cgroup-leaf", "a/b"}},
		{[]string{"--cgroup-leaf=..", "x"}, nil, []string{"--cgroup-leaf", `".."`}},
		{[]string{"--cgroup-leaf=cgroup.procs", "x"}, nil, []string{"--cgroup-leaf", "cgroup.procs"}},
		{[]string{"--cgroup-leaf=" + strings.Repeat("a", 256), "x"}, nil, []string{"--cgroup-leaf", "aaa"}},
		{[]string{"--stop-signal=CHLD", "x"}, nil, []string{"--stop-signal", "CHLD"}},
		{[]string{"--cgroup-timeout=soon", "x"}, nil, []string{"--cgroup-timeout", "soon"}},
		{[]string{"--stop-timeout=-1s", "x"}, nil, []string{"--stop-timeout", "-1s"}},
		{[]string{"--oom-group=2", "x"}, nil, []string{"--oom-group", "2"}},
		{[]string{"--mirror-limits=some", "x"}, nil, []string{"--mirror-limits", "some"}},
		{[]string{"--oom-score-adj=1001", "x"}, nil, []string{"--oom-score-adj", "1001", "-1000 to 1000"}},
		{[]string{"--oom-score-adj=-1001", "x"}, nil, []string{"--oom-score-adj", "-1001"}},
		{[]string{"x"}, []string{"CGSHIM_OOM_SCORE_ADJ=low"}, []string{"CGSHIM_OOM_SCORE_ADJ", "low"}},
		{[]string{"x"}, []string{"CGSHIM_CGROUP=maybe"}, []string{"CGSHIM_CGROUP", "maybe"}},
		{[]string{"x"}, []string{"CGSHIM_DIND=perhaps"}, []string{"CGSHIM_DIND", "perhaps"}},
		{[]string{"x"}, []string{"CGSHIM_LOG_FORMAT=xml"}, []string{"CGSHIM_LOG_FORMAT", "xml"}},
		{[]string{"x"}, []string{"CGSHIM_EXPECT_EXIT=1,x"}, []string{"CGSHIM_EXPECT_EXIT", "x"}},
	} {
		_, err := parseOptions(append([]string{"cgshim"}, c.args...), c.env)
		for _, name := range c.names {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%q %q: %v does not name %q", c.args, c.env, err, name)
			}
		}
	}
}

// What getopt(3) refuses for tini has getopt's message under tini's names.
func TestRefusedAsByTini(t *testing.T) {
	for _, c := range []struct {
		args    []string
		message string
	}{
		{[]string{"-z", "x"}, "invalid option -- 'z'"},
		{[]string{"-z", "-h"}, "invalid option -- 'z'"},
		{[]string{"--foo", "x"}, "invalid option -- '-'"},
		{[]string{"---", "x"}, "invalid option -- '-'"},
		{[]string{"--version", "x"}, "invalid option -- '-'"},
		{[]string{"-v", "--version"}, "invalid option -- '-'"},
		{[]string{"x", "--json"}, "invalid option -- '-'"},
		{[]string{"x", "--expect-exit=7"}, "invalid option -- '-'"},
		{[]string{"x", "--=expect-exit=7"}, "invalid option -- '-'"},
		{[]string{"x", "-x"}, "invalid option -- 'x'"},
		{[]string{"x", "-P"}, "invalid option -- 'P'"},
		{[]string{"x", "-e"}, "option requires an argument -- 'e'"},
		{[]string{"x", "-e", "300"}, "Not a valid option for -e: 300"},
	} {
		if s, err := parseOptions(append([]string{"tini"}, c.args...), nil); err == nil || err.Error() != c.message || s.print != "" {
			t.Errorf("%q: %v, want %s", c.args, err, c.message)
		}
	}
}

// dockerd takes the answer of its init-path if it is of one of two forms
// (moby, parseInitVersion).
func TestVersionIsWhatDockerdParses(t *testing.T) {
	for _, name := range []string{"cgshim", "tini", "docker-init"} {
		s, err := parseOptions([]string{name, "--version"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		before, after, found := strings.Cut(strings.TrimSpace(s.print), " - ")
		if !found || strings.Contains(after, " - ") || len(strings.Split(after, ".")) != 2 || !strings.HasPrefix(after, "git.") {
			t.Errorf("%s: %q", name, s.print)
		}
		if s.Tini && !strings.HasPrefix(before, "tini version ") {
			t.Errorf("%s: %q", name, s.print)
		}
	}
}

func TestHelpFitsAScreen(t *testing.T) {
	for i, line := range strings.Split(usage(&settings{Config: shim.Config{Name: "cgshim"}}), "\n") {
		if len(line) > 80 || i > 46 {
			t.Errorf("line %d of %d bytes: %q", i, len(line), line)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{"5s", "0", "1m30s", "-1s", "9999999999", "1e9s", ""} {
		f.Add(seed)
	}
	set := duration(func(s *settings) *time.Duration { return &s.StopTimeout })
	f.Fuzz(func(t *testing.T, in string) {
		s := &settings{}
		if err := set(s, in); s.StopTimeout < 0 || err != nil && s.StopTimeout != 0 {
			t.Errorf("%q: %v, %v", in, s.StopTimeout, err)
		} else if err == nil && set(s, s.StopTimeout.String()) != nil {
			t.Errorf("%q: %v is not read back", in, s.StopTimeout)
		}
	})
}

func FuzzOptions(f *testing.F) {
	f.Add("-vvs\x00-e143\x00--\x00x", "TINI_VERBOSITY=3\x00CGSHIM_REWRITE=15:3")
	f.Add("--cgroup=require\x00--json\x00x", "CGSHIM_STOP_TIMEOUT=5")
	f.Fuzz(func(t *testing.T, args, env string) {
		for _, name := range []string{"cgshim", "tini"} {
			s, err := parseOptions(append([]string{name}, strings.Split(args, "\x00")...), strings.Split(env, "\x00"))
			if err == nil && (s.StopTimeout < 0 || s.verbosity < 0) {
				t.Errorf("%s %q %q: %+v", name, args, env, s)
			}
		}
	})
}

// --license prints the licences of all code in the binary, and tells where the source of the
// module with the MPL is. Under tini's names it prints the file LICENSE alone.
func TestLicenses(t *testing.T) {
	s, err := parseOptions([]string{"cgshim", "--license"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		license, "Mozilla Public License, version 2.0", "https://github.com/hashicorp/go-reap",
		"Uber Technologies", "The Go Authors", "Alex Ogier", "Go's runtime and standard library",
	} {
		if !strings.Contains(s.print, text) {
			t.Errorf("--license does not print %q", text)
		}
	}
	for _, name := range tiniNames {
		if s, err := parseOptions([]string{name, "-l"}, nil); err != nil || s.print != license {
			t.Errorf("%s -l: %v, %q", name, err, s.print)
		}
	}
}
