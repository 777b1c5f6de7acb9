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

// settings has the values of the options on the command line and in the environment.
type settings struct {
	shim.Config
	verbosity    int
	json         bool
	quiet        bool
	check        bool
	print        string // the text to print on stdout, after which cgshim exits
	mirrorLimits bool
	noEnv        bool
	unknown      []string // variables of cgshim's prefix that cgshim does not know
	single       bool     // there is one argument, under a name of tini

	Path string // argv[0]
}

// An option is a row of the table of options. The parser, --help, the man page and
// docs/options.md are made from the table.
type option struct {
	long, short, arg string // without arg the option is a switch
	env              string
	present          bool   // the switch is on if the variable env has any value, as for tini
	initial          string // the default, in the form that the option takes
	help             string // one line
	full             string // whole sentences, literal words in backquotes
	set              func(s *settings, value string) error
}

func options() []option {
	return []option{
		{
			long: "subreaper", short: "s", env: "TINI_SUBREAPER", present: true, initial: "off",
			help: "become a child subreaper; automatic if not PID 1",
			full: "Become a child subreaper, so that orphans come to cgshim even if it is not PID 1. " +
				"Under its own name cgshim does so without the option, under tini's names only with the option. " +
				"If the kernel refuses, cgshim ends with status 1.",
			set: toggle(func(s *settings) *bool { return &s.Subreaper }),
		},
		{
			long: "parent-death-signal", short: "p", arg: "SIG", env: "CGSHIM_PARENT_DEATH_SIGNAL", initial: "none",
			help: "signal that cgshim gets when its parent dies",
			full: "Have the kernel send the signal SIG to cgshim when its parent dies, and forward SIG to PROGRAM like any other signal. " +
				"If the kernel refuses, cgshim ends with status 1.",
			set: func(s *settings, v string) (err error) {
				s.ParentDeath, err = shim.ParseSignal(v)
				return err
			},
		},
		{
			long: "kill-group", short: "g", env: "TINI_KILL_PROCESS_GROUP", present: true, initial: "off",
			help: "forward signals to the child's process group",
			full: "Forward signals to the whole process group of PROGRAM, and not to PROGRAM alone.",
			set:  toggle(func(s *settings) *bool { return &s.KillGroup }),
		},
		{
			long: "expect-exit", short: "e", arg: "CODE", env: "CGSHIM_EXPECT_EXIT", initial: "none",
			help: "exit 0 if PROGRAM ends with CODE; list, range",
			full: "Exit with status 0 if the exit status of PROGRAM is CODE. " +
				"CODE is a number from 0 to 255, a range such as `100-127`, or a list of both with commas. " +
				"The option can be repeated.",
			set: setExpectExit,
		},
		{
			long: "rewrite", short: "r", arg: "SRC:DST", env: "CGSHIM_REWRITE", initial: "none",
			help: "forward DST in place of the signal SRC; 0 drops",
			full: "Forward the signal DST when cgshim gets the signal SRC. If DST is 0, cgshim drops SRC. " +
				"`TERM:QUIT` is an example. The option can be repeated or have a list with commas.",
			set: setRewrite,
		},
		{
			long: "warn-on-reap", short: "w", env: "CGSHIM_WARN_ON_REAP", initial: "off",
			help: "log a warning for each orphan reaped",
			full: "Log a warning for each orphan that cgshim reaps, with its PID and its status. " +
				"If stderr is read slowly, some of the warnings are lost.",
			set: toggle(func(s *settings) *bool { return &s.WarnOnReap }),
		},
		{
			long: "stop-timeout", arg: "DUR", env: "CGSHIM_STOP_TIMEOUT", initial: "0",
			help: "kill PROGRAM DUR after a stop signal",
			full: "Kill PROGRAM with SIGKILL if it still runs DUR after the first stop signal. " +
				"With 0 cgshim never kills PROGRAM. The clock stands still while the container is frozen. " +
				"If cgshim may not kill PROGRAM and is PID 1, it ends at once with status 137, and the kernel kills the rest of the container. " +
				"Choose less than the time-out of the runtime, which is 10 seconds for `docker stop`.",
			set: duration(func(s *settings) *time.Duration { return &s.StopTimeout }),
		},
		{
			long: "stop-signal", arg: "SIG", env: "CGSHIM_STOP_SIGNAL", initial: "TERM,INT,QUIT",
			help: "signals that ask for a stop",
			full: "Treat SIG as a stop signal. A stop signal starts the clock of `--stop-timeout` and cuts `--drain-timeout` short. " +
				"SIG can be a list with commas, which replaces the default list.",
			set: setStopSignals,
		},
		{
			long: "drain-timeout", arg: "DUR", env: "CGSHIM_DRAIN_TIMEOUT", initial: "0",
			help: "how long other processes outlive PROGRAM",
			full: "When PROGRAM has ended, send TERM to all processes that are left, wait up to DUR for them, and send KILL. " +
				"With 0 cgshim exits at once, as tini does. After a stop signal in that time cgshim sends KILL at once.",
			set: duration(func(s *settings) *time.Duration { return &s.DrainTimeout }),
		},
		{
			long: "cgroup", arg: "MODE", env: "CGSHIM_CGROUP", initial: "auto",
			help: "delegate: auto, require, require-v2, off",
			full: "Choose when to delegate the container's cgroup. " +
				"With `auto` cgshim delegates if it is the entry point of a container and a delegation is possible. Otherwise it starts PROGRAM without one. " +
				"With `require` it acts in any process of a container, and ends with status 125 without starting PROGRAM if the delegation is not possible. " +
				"`require-v2` is `require` where containers are in cgroup v2, and `off` in a container on cgroup v1, in a hybrid or in gVisor. " +
				"With `off` it leaves cgroups alone. " +
				"If you set `auto` yourself and also `--exec`, cgshim acts in any process too. " +
				"Under tini's names the default is `off`.",
			set: setCgroup,
		},
		{
			long: "cgroup-leaf", arg: "NAME", env: "CGSHIM_CGROUP_LEAF", initial: "auto",
			help: "cgroup for the container's own processes",
			full: "Move the container's own processes to the cgroup NAME below the container's cgroup. " +
				"With `auto` agents on the node find the container by the name: 40 digits of the container's ID, 20 dots and `init`. " +
				"If nothing shows the ID, the name is `init`. " +
				"An empty cgroup is made beside NAME, as far as cgroup.max.descendants leaves room. It is called `init`, or `spare` if NAME is `init`. " +
				"No inner container may have one of these names.",
			set: setLeaf,
		},
		{
			long: "cgroup-timeout", arg: "DUR", env: "CGSHIM_CGROUP_TIMEOUT", initial: "5s",
			help: "how long to retry a busy delegation",
			full: "Retry for DUR while the cgroup is busy because processes keep entering it, or while another run of cgshim is at work. " +
				"With 0 there is one attempt.",
			set: duration(func(s *settings) *time.Duration { return &s.Cgroup.Timeout }),
		},
		{
			long: "oom-group", arg: "VALUE", env: "CGSHIM_OOM_GROUP", initial: "keep",
			help: "set memory.oom.group to 0 or 1, or keep",
			full: "Write VALUE, 0 or 1, to the file memory.oom.group of the container's cgroup, and write it again when kubelet resets the file at a resize. " +
				"With 1 the OOM killer ends the whole container, with 0 a single process. " +
				"`keep` leaves the file as the runtime has set it.",
			set: setOOMGroup,
		},
		{
			long: "oom-score-adj", arg: "N", env: "CGSHIM_OOM_SCORE_ADJ", initial: "keep",
			help: "set oom_score_adj of cgshim and PROGRAM",
			full: "Set oom_score_adj of cgshim and of PROGRAM to N, from -1000 to 1000. " +
				"With a low number the OOM killer ends a process of an inner container before it ends PROGRAM. " +
				"A number below the number of the container needs CAP_SYS_RESOURCE. " +
				"`keep` leaves the number as it is.",
			set: setOOMScoreAdj,
		},
		{
			long: "mirror-limits", arg: "on|off", env: "CGSHIM_MIRROR_LIMITS", initial: "on",
			help: "copy the container's limits to the leaf",
			full: "Copy the container's limits of memory, swap, CPU and PIDs to the leaf, and copy them again when the container is resized in place. " +
				"Programs that read only their own cgroup, such as the JVM, Node and Go, then see the limits that hold. " +
				"Copy its protections too, such as memory.low and cpu.uclamp.min, where the leaf would lose them. " +
				"With `--exec` no process of cgshim stays to follow a resize.",
			set: toggle(func(s *settings) *bool { return &s.mirrorLimits }),
		},
		{
			long: "dind", env: "CGSHIM_DIND", initial: "off",
			help: "do the other work of docker:dind's entry script",
			full: "Do the work of docker:dind's entry script that does not concern cgroups. " +
				"If no PROGRAM is given, or an option of dockerd in its place, start dockerd. " +
				"Set the variable container to `docker` for PROGRAM if it is not set or empty. Mount securityfs. " +
				"Remove the pid files of a dockerd or containerd that no longer runs, including the files that dockerd's options `--pidfile`, `--exec-root` and `--data-root` name. " +
				"As the last step, make the mount `/` and all mounts below it shared. " +
				"If a step fails, cgshim logs it and starts PROGRAM all the same. " +
				"With the mounts of the host, cgshim does none of these steps but the variable.",
			set: toggle(func(s *settings) *bool { return &s.Dind }),
		},
		{
			long: "exec", short: "x", env: "CGSHIM_EXEC", initial: "off",
			help: "set up, then become PROGRAM with the same PID",
			full: "Do the set-up and then become PROGRAM, with the same PID. " +
				"cgshim is gone then, and neither reaps nor forwards signals. " +
				"A supervisor that starts dockerd can use this form in place of a shell script.",
			set: toggle(func(s *settings) *bool { return &s.Exec }),
		},
		{
			long: "pause", short: "P", initial: "off",
			help: "start nothing, reap until TERM or INT",
			full: "Start no program. Reap orphans until TERM or INT comes, and exit with status 0.",
			set:  toggle(func(s *settings) *bool { return &s.Pause }),
		},
		{
			long: "check", initial: "off",
			help: "change nothing, report what would be done",
			full: "Change nothing and start nothing. Print what the container is, what cgshim would do and what to change. " +
				"In a running container, print whether its entry point has delegated the cgroup.",
			set: toggle(func(s *settings) *bool { return &s.check }),
		},
		{
			long: "json", initial: "off",
			help: "write the log and --check as JSON",
			full: "Write each line of the log, and what `--check` prints, as JSON. `CGSHIM_LOG_FORMAT=json` does the same.",
			set:  toggle(func(s *settings) *bool { return &s.json }),
		},
		{
			long: "verbose", short: "v", env: "TINI_VERBOSITY", initial: "1",
			help: "log more; can be repeated",
			full: "Log one level more. The option can be repeated. " +
				"The variable sets the level itself, from 0 for errors to 4 for everything. The variable wins over the option, as for tini.",
			set: setVerbose,
		},
		{
			// There is no -q, because tini has none and refuses -q.
			long: "quiet", env: "CGSHIM_QUIET", initial: "off",
			help: "log warnings and errors only",
			full: "Log warnings and errors only, and no notice of a delegation.",
			set:  toggle(func(s *settings) *bool { return &s.quiet }),
		},
		{
			// No variable says this, because the variables may be an image's.
			long: "no-env", initial: "off",
			help: "ignore the variables CGSHIM_* and TINI_*",
			full: "Take the settings from the command line alone, and ignore every variable of cgshim and of tini. " +
				"An image can set variables, so an operator who does not trust the image gives this option. " +
				"PROGRAM gets the variables all the same.",
			set: toggle(func(s *settings) *bool { return &s.noEnv }),
		},
		{
			long: "license", short: "l", help: "print the licences and exit",
			full: "Print the licences of cgshim and of the code that is linked in, and exit.",
			set:  printer(licenses),
		},
		{
			long: "help", short: "h", help: "print this list and exit",
			full: "Print a summary of the options and exit.",
			set:  printer(func(s *settings) string { return usage(s) }),
		},
		{
			long: "version", help: "print the version and exit",
			full: "Print the version and exit. The version says so if the binary is a portable build, which lacks what the README lists under Limits.",
			set: func(s *settings, v string) error {
				if s.Tini && !s.single { // tini knows --version only as the only argument
					return errNotGetopt
				}
				return printer(versionLine)(s, v)
			},
		},
	}
}

// parseOptions reads the command line, and then the variables. An option beats its
// variable, but TINI_VERBOSITY beats -v, as for tini.
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
	s.StopSignals = shim.DefaultStopSignals
	if s.Tini {
		s.single = len(args) == 1
		s.CgroupMode = shim.CgroupOff
	}

	table := options()
	flags := flagSet(s, table)
	err := flags.Parse(args)
	s.Args = flags.Args()
	given := flags.Changed
	if s.Tini && err == nil {
		given, err = s.parseBehindProgram(flags, table)
	}
	switch {
	case s.print != "": // tini prints as soon as it meets the option, whatever follows
		return s, nil
	case err != nil:
		return s, usageError(s, err)
	}
	if !s.noEnv {
		if err := s.fromEnv(table, given); err != nil {
			return s, err
		}
	}
	if given("cgroup") {
		s.CgroupFrom = "--cgroup=" + s.CgroupMode.String()
	}
	if s.Dind && !s.Tini && !s.check && !s.Pause {
		s.completeDockerd()
	}
	s.Cgroup.Anywhere = s.CgroupMode == shim.CgroupRequire || s.CgroupMode == shim.CgroupRequireV2 || s.CgroupMode == shim.CgroupExplicit && s.Exec
	s.completeCgroup()
	return s, nil
}

// completeDockerd puts dockerd before arguments that are only options, as docker:dind's entry
// script does. dockerd has no option --check, so that is cgshim's.
func (s *settings) completeDockerd() {
	switch {
	case len(s.Args) > 0 && !strings.HasPrefix(s.Args[0], "-"):
	case slices.Equal(s.Args, []string{"--check"}):
		s.check = true
	case slices.Equal(s.Args, []string{"--check", "--json"}):
		s.check, s.json = true, true
	default:
		s.Args = append([]string{"dockerd"}, s.Args...)
	}
}

// flagSet returns a parser for the options of the table. The parser stops at the first
// argument that is no option.
func flagSet(s *settings, table []option) *pflag.FlagSet {
	flags := pflag.NewFlagSet(s.Name, pflag.ContinueOnError)
	flags.SetInterspersed(false)
	flags.SortFlags = false
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	for i := range table {
		o := &table[i]
		flag := flags.VarPF(&value{o, s}, o.long, o.short, o.help)
		if o.arg == "" {
			flag.NoOptDefVal = "true"
		}
	}
	return flags
}

// tiniShort are the options of tini.
const tiniShort = "ehglpsvw"

// parseBehindProgram takes options from behind the program, as tini does. tini reads its
// options with getopt(3) of glibc, which takes them from anywhere before a --, unless
// POSIXLY_CORRECT is set. cgshim's own options count only before the program. Behind it
// they are most likely meant for the program, and tini refuses them.
func (s *settings) parseBehindProgram(flags *pflag.FlagSet, table []option) (given func(long string) bool, err error) {
	_, posix := shim.LookupEnv(s.Env, "POSIXLY_CORRECT")
	if posix || flags.ArgsLenAtDash() == 0 {
		return flags.Changed, nil
	}
	var own []option
	for _, o := range table {
		if o.short != "" && strings.Contains(tiniShort, o.short) {
			o.long = "=" + o.long // no argument can be this long option
			own = append(own, o)
		}
	}
	behind := flagSet(s, own)
	behind.SetInterspersed(true)
	err = behind.Parse(s.Args)
	s.Args = behind.Args()
	return func(long string) bool { return flags.Changed(long) || behind.Changed("="+long) }, err
}

// completeCgroup sets the fields of the package cgroup that depend on several options.
func (s *settings) completeCgroup() {
	if s.Cgroup.Timeout == 0 {
		s.Cgroup.Timeout = -1 // no retry; the package cgroup takes 0 for its default
	}
	if !s.mirrorLimits {
		s.Cgroup.Mirror = cgroup.MirrorNothing
	}
}

// tiniNames are the names under which this program keeps tini's defaults. Podman 2 and 3
// also mount their init as /dev/init. parseOptions compares that whole path, because
// other programs are called init too.
var tiniNames = []string{"tini", "tini-static", "docker-init", "podman-init"}

// A tiniError is a mistake on the command line, with the message of tini or getopt(3).
type tiniError struct {
	message string
	value   bool // the value of an option is wrong; tini logs this without the usage
}

func (e *tiniError) Error() string { return e.message }

// errNotGetopt is the error for a long option. getopt(3) knows none.
var errNotGetopt = &tiniError{message: "invalid option -- '-'"}

// usageError gives a mistake on the command line the message of tini, if this program
// was called by a name of tini.
func usageError(s *settings, err error) error {
	if !s.Tini {
		return err
	}
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.Is(err, errNotGetopt), errors.As(err, &syntax), errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return errNotGetopt
	case errors.As(err, &unknown):
		return &tiniError{message: "invalid option -- '" + unknown.GetSpecifiedName() + "'"}
	case errors.As(err, &missing) && missing.GetSpecifiedShortnames() != "":
		return &tiniError{message: "option requires an argument -- '" + missing.GetSpecifiedName() + "'"}
	case errors.As(err, &invalid) && (invalid.GetFlag().Shorthand == "p" || invalid.GetFlag().Shorthand == "e"):
		return &tiniError{message: "Not a valid option for -" + invalid.GetFlag().Shorthand + ": " + invalid.GetValue(), value: true}
	}
	return err
}

const logFormat = "CGSHIM_LOG_FORMAT"

// fromEnv applies the variables, and notes those of cgshim's prefix that are no variable of
// cgshim.
func (s *settings) fromEnv(table []option, given func(long string) bool) error {
	for i := range table {
		if err := table[i].fromEnv(s, given(table[i].long)); err != nil {
			return err
		}
	}
	if s.CgroupMode != shim.CgroupAuto {
		s.CgroupFrom = "CGSHIM_CGROUP=" + s.CgroupMode.String()
	}
	if format, _ := shim.LookupEnv(s.Env, logFormat); format != "" && !given("json") {
		if format != "json" && format != "console" {
			return fmt.Errorf("%s: %q is not a log format: use json or console", logFormat, format)
		}
		s.json = format == "json"
	}
	for _, entry := range s.Env {
		name, _, _ := strings.Cut(entry, "=")
		known := name == logFormat || slices.ContainsFunc(table, func(o option) bool { return o.env == name })
		if strings.HasPrefix(name, "CGSHIM_") && !known {
			s.unknown = append(s.unknown, name)
		}
	}
	return nil
}

// fromEnv applies the option's variable unless the flag was given.
func (o *option) fromEnv(s *settings, given bool) error {
	v, set := shim.LookupEnv(s.Env, o.env)
	switch {
	case o.env == "" || !set || given && o.env != "TINI_VERBOSITY":
		return nil
	case o.env == "TINI_VERBOSITY":
		// tini keeps the number without its sign, so that -1 is more than any level.
		s.verbosity = int(min(uint32(atoi(v)), uint32(shim.LevelTrace)))
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

// atoi parses a number as atoi(3) of glibc does on 64-bit ports. It skips blanks, takes
// one sign, ignores the text after the number and returns 0 if there is no number.
func atoi(s string) int32 {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[end] == '+' || s[end] == '-')) {
		end++
	}
	n, _ := strconv.ParseInt(s[:end], 10, 64) // the nearest number if it is out of range
	return int32(n)
}

// value adapts an option to pflag.
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
		if s.print == "" { // of several such options the first counts
			s.print = text(s)
		}
		return nil
	}
}

func setExpectExit(s *settings, v string) error {
	if v == "" {
		v = "0" // tini parses the value with strtol(3), which returns 0
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
		return fmt.Errorf("%q is not a cgroup name: use auto, or a plain name such as init", v)
	}
	if v == "auto" {
		v = ""
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
