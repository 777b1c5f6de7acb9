package shim

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim/process"
)

// CgroupMode says whether a failed delegation keeps the program from starting.
type CgroupMode int

const (
	CgroupAuto      CgroupMode = iota // delegate if that is possible, and start the program in any case
	CgroupExplicit                    // auto by an explicit option: with Exec it acts in any process
	CgroupRequire                     // do not start the program without a delegation
	CgroupRequireV2                   // the same on cgroup v2; off elsewhere
	CgroupOff
)

// Config is what the command line and the environment ask for.
type Config struct {
	Name string   // last element of argv[0]: selects the personality, and begins messages
	Tini bool     // called by a name of tini: keep tini's defaults
	Args []string // the program and its arguments
	Env  []string

	Subreaper    bool
	ParentDeath  process.Signal // 0: none
	KillGroup    bool
	WarnOnReap   bool
	ExpectExit   [256]bool // exit statuses that count as 0
	Rewrite      map[process.Signal]process.Signal
	StopSignals  process.Set   // signals that ask the program to end
	StopTimeout  time.Duration // 0: never kill
	DrainTimeout time.Duration // 0: do not wait for other processes

	CgroupMode  CgroupMode
	Cgroup      cgroup.Options
	OOMScoreAdj string // "": keep it

	Dind     bool
	TmpTmpfs bool
	Exec     bool
	Pause    bool
}

// DefaultStopSignals are the stop signals without --stop-signal.
func DefaultStopSignals() process.Set { return process.SetOf(unix.SIGTERM, unix.SIGINT, unix.SIGQUIT) }

// Exit statuses of cgshim itself. 128+n means that signal n ended the program.
const (
	ExitFailure       = 1   // usage or internal error
	ExitRequire       = 125 // --cgroup=require could not be met
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// Level is the importance of a log line. A line appears if the verbosity is at least
// its level.
type Level int

const (
	LevelError Level = iota
	LevelWarn        // the default
	LevelInfo
	LevelDebug
	LevelTrace
)

// Log writes a line with a constant message and alternating keys and values.
type Log interface {
	Log(level Level, msg string, facts ...any)
	// Notice writes a line that is no warning but appears at the default level.
	Notice(msg string, facts ...any)
	// Line renders a line for later. The message and the values may contain slots. Line
	// returns nil if the level is not shown.
	Line(level Level, msg string, facts ...any) *Line
}
