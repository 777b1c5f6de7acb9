//go:build cgshim_release

package process

import (
	"math"
	"sync/atomic"
	"syscall"
	_ "unsafe" // go:linkname

	"golang.org/x/sys/unix"
)

// This file and sigtable_*.s name parts of Go's runtime. The linker allows that only
// with -checklinkname=0. So the binary of the Makefile has this code, and the binary of
// a plain go build does not.

// forcegcperiod is the longest time between two garbage collections, in nanoseconds. In
// an idle process the runtime's monitor thread sleeps for half of that time (runtime,
// sysmon). --pause keeps this thread, which would wake up once a minute.
//
//go:linkname forcegcperiod runtime.forcegcperiod
var forcegcperiod int64

func init() { forcegcperiod = math.MaxInt64 }

// lockOSThread is runtime.LockOSThread without the template thread. From that thread the
// runtime creates the threads that a locked thread asks for, because the state of a
// locked thread may have changed (runtime, startTemplateThread). No code here asks for
// any, and a container may have no room for another thread.
//
//go:linkname lockOSThread runtime.lockOSThread
func lockOSThread()

// LockMainThread locks the main goroutine to the main thread. Only an init function may
// call it, because init functions run on the main thread.
func LockMainThread() { lockOSThread() }

//go:linkname unlockOSThread runtime.unlockOSThread
func unlockOSThread()

// unlockMainThread undoes LockMainThread.
func unlockMainThread() { unlockOSThread() }

// origRlimitNofile is the limit before the syscall package raised it, or nil if the
// package did not raise it.
//
//go:linkname origRlimitNofile syscall.origRlimitNofile
var origRlimitNofile atomic.Pointer[syscall.Rlimit]

// nofileBefore returns the RLIMIT_NOFILE from before Go's runtime raised it.
func nofileBefore() []savedLimit {
	limit := origRlimitNofile.Load()
	if limit == nil {
		return nil
	}
	return []savedLimit{{unix.RLIMIT_NOFILE, uint64(limit.Cur), uint64(limit.Max)}}
}
