//go:build cgshim_release

package process

import (
	"math"
	"sync/atomic"
	"syscall"
	_ "unsafe" // go:linkname

	"golang.org/x/sys/unix"
)

// What is named here and in sigtable_*.s is the runtime's own. The linker allows that
// with -checklinkname=0 only, so it is in the binary of the Makefile and not in a binary
// of a plain go build.

// forcegcperiod is how often Go collects at least, in nanoseconds. Half of it is how long
// the runtime's monitor thread sleeps in an idle process. --pause keeps that thread, and
// would wake up once a minute (runtime, sysmon).
//
//go:linkname forcegcperiod runtime.forcegcperiod
var forcegcperiod int64

func init() { forcegcperiod = math.MaxInt64 }

// lockOSThread is runtime.LockOSThread without the thread that the latter starts for
// callers that make more threads from a locked one (runtime, startTemplateThread).
// Nothing here makes one, and a container may have no room for it.
//
//go:linkname lockOSThread runtime.lockOSThread
func lockOSThread()

// LockMainThread keeps the caller, an init function, and with it main, on the main
// thread.
func LockMainThread() { lockOSThread() }

//go:linkname unlockOSThread runtime.unlockOSThread
func unlockOSThread()

// unlockMainThread undoes LockMainThread.
func unlockMainThread() { unlockOSThread() }

// origRlimitNofile is the limit before the syscall package raised it, nil where it did
// not have to.
//
//go:linkname origRlimitNofile syscall.origRlimitNofile
var origRlimitNofile atomic.Pointer[syscall.Rlimit]

// nofileBefore is the RLIMIT_NOFILE that Go's runtime has changed.
func nofileBefore() []savedLimit {
	limit := origRlimitNofile.Load()
	if limit == nil {
		return nil
	}
	return []savedLimit{{unix.RLIMIT_NOFILE, uint64(limit.Cur), uint64(limit.Max)}}
}
