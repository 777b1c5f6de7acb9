package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim"
)

// settings is the command line and the environment, read.
type settings struct {
	shim.Config
	verbosity    int
	json         bool
	quiet        bool
	check        bool
	print        string // what to print on stdout instead of running anything
	mirrorLimits bool
	mirrorCPUMax bool

	Path string // argv[0]
}

// An option is a row of --help, of the man page and of the parser.
type option struct {
	long, short, arg string // arg "" is a switch
	env              string
	present          bool // env set at all is on, as for tini
	help             string
	set              func(s *settings, value string) error
}

func options() []option {
	return []option{
		{
			long: "subreaper", short: "s", env: "TINI_SUBREAPER", present: true,
			help: "be a child subreaper (by itself if not PID 1)", set: toggle(func(s *settings) *bool { return &s.Subreaper }),
		},
		{
			long: "parent-death-signal", short: "p", arg: "SIG", env: "CGSHIM_PARENT_DEATH_SIGNAL",
			help: "signal to get when the parent dies", set: func(s *settings, v string) (err error) {
				s.ParentDeath, err = shim.ParseSignal(v)
				return err
			},
		},
		{
			long: "kill-group", short: "g", env: "TINI_KILL_PROCESS_GROUP", present: true,
			help: "forward signals to the child's process group", set: toggle(func(s *settings) *bool { return &s.KillGroup }),
		},
		{
			long: "expect-exit", short: "e", arg: "CODE", env: "CGSHIM_EXPECT_EXIT",
			help: "exit 0 for the status CODE; lists, ranges", set: setExpectExit,
		},
		{
			long: "rewrite", short: "r", arg: "SRC:DST", env: "CGSHIM_REWRITE",
			help: "send DST for the signal SRC, 0: drop; repeatable", set: setRewrite,
		},
		{
			long: "warn-on-reap", short: "w", env: "CGSHIM_WARN_ON_REAP",
			help: "warn for each orphan reaped", set: toggle(func(s *settings) *bool { return &s.WarnOnReap }),
		},
		{
			long: "stop-timeout", arg: "DUR", env: "CGSHIM_STOP_TIMEOUT",
			help: "KILL the child DUR after a stop signal (0: no)", set: duration(func(s *settings) *time.Duration { return &s.StopTimeout }),
		},
		{
			long: "stop-signal", arg: "SIG", env: "CGSHIM_STOP_SIGNAL",
			help: "signals that ask for an end (TERM,INT,QUIT)", set: setStopSignals,
		},
		{
			long: "drain-timeout", arg: "DUR", env: "CGSHIM_DRAIN_TIMEOUT",
			help: "then TERM the rest, KILL after DUR (0: exit)", set: duration(func(s *settings) *time.Duration { return &s.DrainTimeout }),
		},
		{
			long: "cgroup", arg: "MODE", env: "CGSHIM_CGROUP",
			help: "delegate cgroups: auto, require, require-v2, off", set: setCgroup,
		},
		{
			long: "cgroup-leaf", arg: "NAME", env: "CGSHIM_CGROUP_LEAF",
			help: "leaf for the container's own processes (init)", set: setLeaf,
		},
		{
			long: "cgroup-timeout", arg: "DUR", env: "CGSHIM_CGROUP_TIMEOUT",
			help: "how long to retry a busy delegation (5s)", set: duration(func(s *settings) *time.Duration { return &s.Cgroup.Timeout }),
		},
		{
			long: "oom-group", arg: "VALUE", env: "CGSHIM_OOM_GROUP",
			help: "memory.oom.group of the container: keep, 0 or 1", set: setOOMGroup,
		},
		{
			long: "oom-score-adj", arg: "N", env: "CGSHIM_OOM_SCORE_ADJ",
			help: "oom_score_adj of cgshim and PROGRAM (keep)", set: setOOMScoreAdj,
		},
		{
			long: "mirror-limits", arg: "on|off", env: "CGSHIM_MIRROR_LIMITS",
			help: "the leaf has the container's limits (on)", set: toggle(func(s *settings) *bool { return &s.mirrorLimits }),
		},
		{
			long: "mirror-cpu-max", env: "CGSHIM_MIRROR_CPU_MAX",
			help: "cpu.max alone, where --mirror-limits is off", set: toggle(func(s *settings) *bool { return &s.mirrorCPUMax }),
		},
		{
			long: "dind", env: "CGSHIM_DIND",
			help: "securityfs, stale pid files, rshared /", set: toggle(func(s *settings) *bool { return &s.Dind }),
		},
		{
			long: "tmp-tmpfs", env: "CGSHIM_TMP_TMPFS",
			help: "tmpfs on /tmp if it is no mount point", set: toggle(func(s *settings) *bool { return &s.TmpTmpfs }),
		},
		{
			long: "exec", short: "x", env: "CGSHIM_EXEC",
			help: "set up, then become PROGRAM: same PID", set: toggle(func(s *settings) *bool { return &s.Exec }),
		},
		{
			long: "pause", short: "P",
			help: "run nothing: reap until TERM or INT", set: toggle(func(s *settings) *bool { return &s.Pause }),
		},
		{
			long: "check",
			help: "change nothing, print what would be done", set: toggle(func(s *settings) *bool { return &s.check }),
		},
		{
			long: "json",
			help: "log as JSON (also CGSHIM_LOG_FORMAT=json)", set: toggle(func(s *settings) *bool { return &s.json }),
		},
		{
			long: "verbose", short: "v", env: "TINI_VERBOSITY",
			help: "more output, repeatable; the variable is 0 to 4", set: setVerbose,
		},
		{
			// No -q: tini refuses it, and all letters are kept as tini has them.
			long: "quiet", env: "CGSHIM_QUIET",
			help: "warnings and errors only", set: toggle(func(s *settings) *bool { return &s.quiet }),
		},
		{long: "license", short: "l", help: "print the licence", set: printer(func(*settings) string { return license })},
		{long: "help", short: "h", help: "print this", set: printer(func(s *settings) string { return usage(s) })},
		{long: "version", help: "print the version", set: printer(versionLine)},
	}
}

// parseOptions reads the command line, then the variables: a flag beats its
// CGSHIM_* variable, and TINI_VERBOSITY beats -v as it does for tini.
func parseOptions(args, env []string) (*settings, error) {
	s := &settings{verbosity: int(shim.LevelWarn), mirrorLimits: true}
	s.Env = env
	s.Name = "cgshim"
	if len(args) > 0 {
		s.Path, s.Name = args[0], path.Base(args[0])
		args = args[1:]
	}
	s.Tini = slices.Contains(tiniNames, s.Name) || s.Path == "/dev/init"
	s.Cgroup.Timeout = cgroup.DefaultTimeout
	s.StopSignals = shim.DefaultStopSignals()
	if s.Tini {
		s.CgroupMode = shim.CgroupOff
	}

	flags := pflag.NewFlagSet(s.Name, pflag.ContinueOnError)
	// tini reads its options with getopt(3) of glibc, which takes them from anywhere
	// before a --, if POSIXLY_CORRECT is not set.
	_, posix := shim.LookupEnv(env, "POSIXLY_CORRECT")
	flags.SetInterspersed(s.Tini && !posix)
	flags.SortFlags = false
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	table := options()
	for i := range table {
		o := &table[i]
		flag := flags.VarPF(&value{o, s}, o.long, o.short, o.help)
		if o.arg == "" {
			flag.NoOptDefVal = "true"
		}
	}
	if err := flags.Parse(args); err != nil {
		return s, usageError(s, err)
	}
	if s.print != "" {
		return s, nil
	}
	for i := range table {
		if err := table[i].fromEnv(s, flags.Changed(table[i].long)); err != nil {
			return s, err
		}
	}
	if format, _ := shim.LookupEnv(env, "CGSHIM_LOG_FORMAT"); format != "" && !flags.Changed("json") {
		if format != "json" && format != "console" {
			return s, fmt.Errorf("CGSHIM_LOG_FORMAT: %q is not a log format: use json or console", format)
		}
		s.json = format == "json"
	}
	s.Cgroup.Anywhere = s.CgroupMode == shim.CgroupRequire || s.CgroupMode == shim.CgroupRequireV2 || s.CgroupMode == shim.CgroupExplicit && s.Exec
	s.completeCgroup()
	s.Args = flags.Args()
	return s, nil
}

// completeCgroup says in the words of the package cgroup what it takes several options
// to know.
func (s *settings) completeCgroup() {
	if s.Cgroup.Timeout == 0 {
		s.Cgroup.Timeout = -1 // none: 0 is the default there
	}
	switch {
	case s.mirrorLimits:
	case s.mirrorCPUMax:
		s.Cgroup.Mirror = cgroup.MirrorCPUMax
	default:
		s.Cgroup.Mirror = cgroup.MirrorNothing
	}
}

// tiniNames are the names that make this program tini. Podman 2 and 3 mount
// their init as /dev/init. That is a path and not a name, for other programs are called
// init too.
var tiniNames = []string{"tini", "tini-static", "docker-init", "podman-init"}

// A tiniError is a mistake in the words of tini and of getopt(3).
type tiniError struct {
	message string
	value   bool // of an option: tini says so in a line of its log, without the usage
}

func (e *tiniError) Error() string { return e.message }

// usageError is a mistake on the command line, in tini's words under tini's names.
func usageError(s *settings, err error) error {
	if !s.Tini {
		return err
	}
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() == "" { // getopt(3) knows no long options
			name = "-"
		}
		return &tiniError{message: "invalid option -- '" + name + "'"}
	case errors.As(err, &missing) && missing.GetSpecifiedShortnames() != "":
		return &tiniError{message: "option requires an argument -- '" + missing.GetSpecifiedName() + "'"}
	case errors.As(err, &invalid) && (invalid.GetFlag().Shorthand == "p" || invalid.GetFlag().Shorthand == "e"):
		return &tiniError{message: "Not a valid option for -" + invalid.GetFlag().Shorthand + ": " + invalid.GetValue(), value: true}
	}
	return err
}

// fromEnv applies the option's variable unless the flag was given.
func (o *option) fromEnv(s *settings, given bool) error {
	v, set := shim.LookupEnv(s.Env, o.env)
	switch {
	case o.env == "" || !set || given && o.env != "TINI_VERBOSITY":
		return nil
	case o.env == "TINI_VERBOSITY":
		// As tini, by atoi(3): what follows the number does not matter, none is 0.
		digits := strings.TrimLeft(v, " +")
		if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			digits = digits[:end]
		}
		s.verbosity, _ = strconv.Atoi(digits)
		return nil
	case o.present:
		v = "true"
	case v == "":
		return nil // an empty variable is how a compose file says "not set"
	}
	if err := o.set(s, v); err != nil {
		return fmt.Errorf("%s: %w", o.env, err)
	}
	return nil
}

// value is an option as pflag wants it.
type value struct {
	o *option
	s *settings
}

func (v *value) Set(arg string) error { return v.o.set(v.s, arg) }
func (v *value) Type() string         { return v.o.arg }
func (v *value) String() string       { return "" }

func toggle(field func(*settings) *bool) func(*settings, string) error {
	return func(s *settings, v string) error {
		switch strings.ToLower(v) {
		case "true", "1", "yes", "on":
			*field(s) = true
		case "false", "0", "no", "off":
			*field(s) = false
		default:
			return fmt.Errorf("%q is neither on nor off: use 1 or 0", v)
		}
		return nil
	}
}

func duration(field func(*settings) *time.Duration) func(*settings, string) error {
	return func(s *settings, v string) error {
		d, err := time.ParseDuration(v)
		if seconds, numErr := strconv.ParseUint(v, 10, 31); numErr == nil {
			d, err = time.Duration(seconds)*time.Second, nil
		}
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a duration: use a number with a unit, such as 5s, 500ms or 1m30s", v)
		}
		*field(s) = d
		return nil
	}
}

func printer(text func(*settings) string) func(*settings, string) error {
	return func(s *settings, _ string) error {
		if s.print == "" { // the first one asked for
			s.print = text(s)
		}
		return nil
	}
}

func setExpectExit(s *settings, v string) error {
	if v == "" {
		v = "0" // as tini's strtol(3) has it
	}
	for _, item := range strings.Split(v, ",") {
		low, high, isRange := strings.Cut(item, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(low), "+"), 10, 8)
		to, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 8)
		if !isRange {
			to, err2 = from, err1
		}
		if err1 != nil || err2 != nil || from > to {
			return fmt.Errorf("%q is not an exit status: use 0 to 255, a range such as 100-127, or a list with commas", item)
		}
		for code := from; code <= to; code++ {
			s.ExpectExit[code] = true
		}
	}
	return nil
}

func setRewrite(s *settings, v string) error {
	for _, item := range strings.Split(v, ",") {
		from, to, found := strings.Cut(item, ":")
		if !found {
			return fmt.Errorf("%q is not a rewrite: use SRC:DST, such as TERM:QUIT, or HUP:0 to drop HUP", item)
		}
		src, err := shim.ParseSignal(from)
		if err == nil && !shim.Rewritable(src) {
			err = fmt.Errorf("%q cannot be rewritten: it is never forwarded", from)
		}
		if err != nil {
			return err
		}
		var dst shim.Signal
		if to != "0" {
			if dst, err = shim.ParseSignal(to); err != nil {
				return err
			}
		}
		if s.Rewrite == nil {
			s.Rewrite = make(map[shim.Signal]shim.Signal)
		}
		s.Rewrite[src] = dst
	}
	return nil
}

func setStopSignals(s *settings, v string) error {
	var signals shim.SignalSet
	for _, name := range strings.Split(v, ",") {
		sig, err := shim.ParseSignal(name)
		if err != nil {
			return err
		}
		if !shim.Rewritable(sig) {
			return fmt.Errorf("%q cannot ask for an end: it is never forwarded", name)
		}
		signals |= shim.SetOf(sig)
	}
	s.StopSignals = signals
	return nil
}

func setCgroup(s *settings, v string) error {
	switch v {
	case "auto":
		s.CgroupMode = shim.CgroupExplicit
	case "require":
		s.CgroupMode = shim.CgroupRequire
	case "require-v2":
		s.CgroupMode = shim.CgroupRequireV2
	case "off":
		s.CgroupMode = shim.CgroupOff
	default:
		return fmt.Errorf("%q is not a mode: use auto, require, require-v2 or off", v)
	}
	return nil
}

func setLeaf(s *settings, v string) error {
	if v == "" || v == "." || v == ".." || len(v) > 255 || strings.ContainsAny(v, "/\n") || strings.HasPrefix(v, "cgroup.") {
		return fmt.Errorf("%q is not a cgroup name: use a plain name such as init", v)
	}
	s.Cgroup.Leaf = v
	return nil
}

func setOOMGroup(s *settings, v string) error {
	switch v {
	case "keep":
		s.Cgroup.OOMGroup = ""
	case "0", "1":
		s.Cgroup.OOMGroup = v
	default:
		return fmt.Errorf("%q is not a value of memory.oom.group: use keep, 0 or 1", v)
	}
	return nil
}

func setOOMScoreAdj(s *settings, v string) error {
	if v == "keep" {
		s.OOMScoreAdj = ""
		return nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < -1000 || n > 1000 {
		return fmt.Errorf("%q is not a value of oom_score_adj: use a number from -1000 to 1000, or keep", v)
	}
	s.OOMScoreAdj = strconv.Itoa(n)
	return nil
}

func setVerbose(s *settings, v string) error {
	if v != "true" {
		return errors.New("takes no value: repeat it, as in -vv")
	}
	s.verbosity++
	return nil
}
