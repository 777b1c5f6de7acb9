//go:build !cgshim_release

package process

import "runtime"

// LockMainThread locks the main goroutine to the main thread. Only an init function may
// call it, because init functions run on the main thread.
func LockMainThread() { runtime.LockOSThread() }

// unlockMainThread undoes LockMainThread.
func unlockMainThread() { runtime.UnlockOSThread() }

// nofileBefore returns nothing, because this build cannot read the runtime's record of
// the limit.
func nofileBefore() []savedLimit { return nil }
