//go:build cgshim_release

package shim

import (
	"math"
	"sync/atomic"
	"syscall"
	_ "unsafe" // go:linkname
)

// What is named here and in sigtable_*.s is the runtime's own. The linker allows
// that with -checklinkname=0 only, so it is in the binary of the Makefile and not in
// that of a plain go build, which works too and does a little more.

// forcegcperiod is how often Go collects at least, in nanoseconds. Half of it is
// how long the runtime's monitor thread sleeps in an idle process: the one wake-up
// a minute that an idle init would have (runtime, sysmon). A collection still comes
// when there is garbage.
//
//go:linkname forcegcperiod runtime.forcegcperiod
var forcegcperiod int64

func init() { forcegcperiod = math.MaxInt64 }

// lockOSThread is runtime.LockOSThread without the thread that the latter starts
// for those who make more threads from a locked one (runtime, startTemplateThread).
// Nobody does here: namespaces are changed when the runtime's threads exist, and a
// thread in the old ones does nothing but run the collector.
//
//go:linkname lockOSThread runtime.lockOSThread
func lockOSThread()

// LockMainThread keeps the caller, an init function, and with it main, on the main
// thread.
func LockMainThread() { lockOSThread() }

// origRlimitNofile is the limit before the syscall package raised it, nil where it did
// not have to.
//
//go:linkname origRlimitNofile syscall.origRlimitNofile
var origRlimitNofile atomic.Pointer[syscall.Rlimit]

// nofileBefore is the RLIMIT_NOFILE that Go's runtime has changed, nil if none.
func nofileBefore() *[2]uint64 {
	limit := origRlimitNofile.Load()
	if limit == nil {
		return nil
	}
	return &[2]uint64{uint64(limit.Cur), uint64(limit.Max)}
}
