package shim

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim/process"
)

// CgroupMode says how much the cgroup set-up matters.
type CgroupMode int

const (
	CgroupAuto      CgroupMode = iota // where it is possible; the child runs all the same
	CgroupExplicit                    // auto, but asked for by name: with Exec it acts in any process
	CgroupRequire                     // or do not start the child
	CgroupRequireV2                   // likewise where cgroup v2 is in charge, off elsewhere
	CgroupOff
)

// Config is what the command line and the environment ask for.
type Config struct {
	Name string   // argv[0]'s last element: the personality, and the name in messages
	Tini bool     // called by a name of tini's: keep tini's defaults
	Args []string // the program and its arguments
	Env  []string

	Subreaper    bool
	ParentDeath  process.Signal // 0: none
	KillGroup    bool
	WarnOnReap   bool
	ExpectExit   [256]bool // exit statuses that count as 0
	Rewrite      map[process.Signal]process.Signal
	StopSignals  process.Set   // the signals that ask for an end
	StopTimeout  time.Duration // 0: never kill
	DrainTimeout time.Duration // 0: do not wait for what is left

	CgroupMode  CgroupMode
	Cgroup      cgroup.Options
	OOMScoreAdj string // "": keep it

	Dind     bool
	TmpTmpfs bool
	Exec     bool
	Pause    bool
}

// DefaultStopSignals are the signals that ask for an end where the user says nothing.
func DefaultStopSignals() process.Set { return process.SetOf(unix.SIGTERM, unix.SIGINT, unix.SIGQUIT) }

// Exit statuses of cgshim itself; 128+n is a child that signal n ended.
const (
	ExitFailure       = 1   // usage or internal error
	ExitRequire       = 125 // --cgroup=require could not be met
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// Level is the verbosity from which on a line is shown.
type Level int

const (
	LevelError Level = iota
	LevelWarn        // the default
	LevelInfo
	LevelDebug
	LevelTrace
)

// Log writes one line: a constant message and alternating keys and values.
type Log interface {
	Log(level Level, msg string, facts ...any)
	// Notice is a line that is no warning and shown at the default level.
	Notice(msg string, facts ...any)
	// Line renders a line now that is to be written later, with slots in the message or
	// as values. It is nil where level is not shown.
	Line(level Level, msg string, facts ...any) *Line
}
