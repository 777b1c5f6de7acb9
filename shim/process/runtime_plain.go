//go:build !cgshim_release

package process

import "runtime"

// LockMainThread keeps the caller, an init function, and with it main, on the main
// thread.
func LockMainThread() { runtime.LockOSThread() }

// unlockMainThread undoes LockMainThread.
func unlockMainThread() { runtime.UnlockOSThread() }

// nofileBefore does not know.
func nofileBefore() []savedLimit { return nil }
