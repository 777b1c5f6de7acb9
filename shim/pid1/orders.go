package pid1

import (
	"syscall"
	"time"
	"unsafe"
)

// Errno is an errno, or 0.
type Errno = syscall.Errno

// Role is what a helper has to do.
type Role uint32

const (
	Prepare Role = iota // read the command line, delegate the cgroup, fill the orders in
	Pause               // go on in PID 1 itself, which reaps with the runtime
	Explain             // say why the program could not be executed, or how it ended
	Resize              // copy the container's limits again
	Drain               // end the processes that kill(2) with -1 does not end
)

// Orders pass from a helper to PID 1. They lie in memory that PID 1 shares with its helpers.
// Arguments and environment stay where the kernel has put them on the initial stack, which a
// helper has at the same address. What a helper makes itself is in the arena. There is no Go
// pointer in the orders, because PID 1 could not store one (write barriers).
type Orders struct {
	// PID 1 fills these in before it starts a helper.
	PID, Parent  int    // of PID 1
	Elsewhere    bool   // the children of PID 1 are in another PID namespace
	Inside       bool   // likewise, and this helper is the first process there
	placed       uint32 // the helper has found that out
	closed       uint32 // which of the descriptors 0 to 2 were closed in the helper
	stderr       int32  // where the helper finds its standard error, or -1
	Killed       int32  // number of helpers that were killed while they prepared
	OldNamespace int    // descriptor of PID 1 for its cgroup namespace before the set-up, or -1
	role         Role
	vector       uintptr // argc, the arguments, the environment
	words        uintptr // memory for arrays of pointers
	wordsUsed    uintptr
	inherited    Set // the signal mask that the program gets

	hurry   uint32 // a stop signal has come
	begun   uint32 // the runtime of the helper runs
	Read    uint32 // the helper has read the command line
	Require uint32 // the mode wants a delegation: without one the status is 125
	ready   uint32 // the orders are complete

	// A helper asks PID 1 for a system call. It fills these in and stops itself (ask.go).
	number    uintptr
	arguments [6]uintptr
	result    uintptr
	asked     uint32 // number of calls
	answered  uint32

	// The program. Before argv there is room for one more word.
	argv, envp, path    uintptr
	listenPID, listenID [64]byte // LISTEN_PID and LISTEN_PIDFDID, whose values the child writes
	setPID, setID       bool

	Options

	Kills      uint64     // count of OOM kills before the program started
	Notify     int32      // inotify descriptor of the limits, or -1
	toClose    [256]int32 // inherited descriptors
	numClose   uint32
	Mirrored   Fixed // state of package cgroup, which a helper hands to the next
	KillsKnown bool
	Dir        Text // working directory at the start

	// What a late helper is asked, and its answer.
	released  uint32 // the program may be executed
	copied    bool   // a child could copy the code
	Flag      uint32 // where the kernel stores an answer
	Signal    Signal // for Drain
	Outcome   Outcome
	Elapsed   time.Duration // the life of the program
	Forwarded Set           // signals that were forwarded
	Reply     Fixed         // a log line in place of the one that PID 1 has
	Again     bool          // for Resize: something could not be copied

	table
	arenaUsed uint32
	arena     [64 << 10]byte
}

// Options are the orders that come from the command line.
type Options struct {
	Exec      bool // PID 1 becomes the program
	Pause     bool
	Tini      bool
	KillGroup bool
	Subreaper bool
	Job       bool // a shell with job control has started this process
	Explains  bool // an abnormal end is explained by a helper
	Delegated bool // inner containers have cgroups of their own

	ExpectExit   [256]bool  // exit statuses that count as 0
	Rewrite      [128]uint8 // for each signal the signal to forward, or 0
	StopSignals  Set
	StopTimeout  time.Duration // with 0 the program is never killed
	DrainTimeout time.Duration
}

// Outcome says how the program ended, or why it could not be executed.
type Outcome struct {
	PID       int
	ExecErrno uint32 // errno of a failed execve, or 0
	ViaShell  uint32 // 1 if the kernel did not know the format of the file and /bin/sh got the file
	Status    uint32 // wait status
	Ended     bool
}

// Fixed is a string of limited length, which can be written again.
type Fixed struct {
	size uint32
	text [4096]byte
}

// Set copies s. A longer string is cut.
func (f *Fixed) Set(s string) { f.size = uint32(copy(f.text[:], s)) }

func (f *Fixed) String() string { return string(f.text[:f.size]) }

// A Text is a string in the arena.
type Text struct{ at, size uint32 }

const ordersSize = unsafe.Sizeof(Orders{})

// text copies s into the arena. Text that does not fit is cut.
func (o *Orders) text(s string) Text {
	t := Text{at: o.arenaUsed}
	for i := 0; i < len(s) && o.arenaUsed < uint32(len(o.arena))-1; i++ {
		o.arena[o.arenaUsed] = s[i]
		o.arenaUsed++
	}
	t.size = o.arenaUsed - t.at
	o.arena[o.arenaUsed&(uint32(len(o.arena))-1)] = 0
	if o.arenaUsed < uint32(len(o.arena))-1 {
		o.arenaUsed++ // a NUL, so that the kernel can take the text
	}
	return t
}

// String returns the text, for a helper.
func (o *Orders) String(t Text) string { return string(o.arena[t.at : t.at+t.size]) }

// SetDir keeps the working directory at the start.
func (o *Orders) SetDir(dir string) { o.Dir = o.text(dir) }

// FlagAddress returns the address of Flag, for Ask.
func (o *Orders) FlagAddress() uintptr { return address(&o.Flag) }
