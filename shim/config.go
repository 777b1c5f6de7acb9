package shim

import (
	"time"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim/pid1"
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
	PID  int // of PID 1, whose helper this process may be

	Subreaper    bool
	ParentDeath  Signal // or 0
	KillGroup    bool
	WarnOnReap   bool
	ExpectExit   [256]bool // exit statuses that count as 0
	Rewrite      map[Signal]Signal
	StopSignals  SignalSet     // signals that ask the program to end
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
const DefaultStopSignals = pid1.DefaultStopSignals

// Exit statuses of cgshim itself. 128+n means that signal n ended the program.
const (
	ExitFailure = pid1.ExitFailure // usage or internal error
	ExitRequire = pid1.ExitRequire // --cgroup=require could not be met
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
	// Line renders a line for PID 1. The message and the values may have marks of slots. Line
	// returns "" if the level is not shown.
	Line(level Level, msg string, facts ...any) string
	// ChildLine renders a line that tini's child writes, with SlotPID in tini's prefix.
	ChildLine(level Level, msg string) string
	// Render returns the line that Log would write, or "" if the level is not shown.
	Render(level Level, msg string, facts ...any) string
	// ChildRender is Render for a line that tini's child with this PID writes.
	ChildRender(pid int, level Level, msg string) string
}

// Slot is a value of a line that PID 1 fills in.
type Slot = pid1.Slot

// Slots that the log itself uses.
const (
	SlotTime = pid1.SlotTime
	SlotPID  = pid1.SlotPID
)

// SignalSet is a set of signals.
type SignalSet = pid1.Set

// SetOf returns the set of these signals.
func SetOf(signals ...Signal) SignalSet { return pid1.SetOf(signals...) }

// Rewritable reports whether sig can reach PID 1 and so be rewritten.
func Rewritable(sig Signal) bool { return pid1.Rewritable(sig) }

// Portable says what is missing in a binary that was not built as the Makefile builds it.
func Portable() string {
	if pid1.Native() {
		return ""
	}
	return "portable build"
}
