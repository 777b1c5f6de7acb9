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
	CgroupExplicit                    // auto by an explicit option, which with Exec acts in any process
	CgroupRequire                     // do not start the program without a delegation
	CgroupRequireV2                   // the same on cgroup v2, and off elsewhere
	CgroupOff
)

// String returns the mode as a user writes it.
func (m CgroupMode) String() string {
	return [...]string{"auto", "auto", "require", "require-v2", "off"}[m]
}

// Config is what the command line and the environment ask for.
type Config struct {
	Name string   // last element of argv[0], with which messages begin
	Tini bool     // keep tini's defaults, because Name is a name of tini
	Args []string // the program and its arguments
	Env  []string

	Subreaper    bool
	ParentDeath  process.Signal // or 0
	KillGroup    bool
	WarnOnReap   bool
	ExpectExit   [256]bool // exit statuses that count as 0
	Rewrite      map[process.Signal]process.Signal
	StopSignals  process.Set   // signals that ask the program to end
	StopTimeout  time.Duration // with 0 the program is never killed
	DrainTimeout time.Duration // with 0 other processes are not drained

	CgroupMode  CgroupMode
	CgroupFrom  string // the option or the variable that says CgroupMode, or ""
	Cgroup      cgroup.Options
	OOMScoreAdj string // "" keeps the number as it is

	Dind  bool
	Exec  bool
	Pause bool
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
	// ChildLine renders a line that tini's child writes, with SlotPID in tini's prefix.
	ChildLine(level Level, msg string) *Line
	// Render returns the line that Log would write.
	Render(level Level, msg string, facts ...any) string
}
