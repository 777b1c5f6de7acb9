//go:build !cgshim_release

package process

import "runtime"

// LockMainThread locks the main goroutine to the main thread. Its caller is an init
// function.
func LockMainThread() { runtime.LockOSThread() }

// unlockMainThread undoes LockMainThread.
func unlockMainThread() { runtime.UnlockOSThread() }

// nofileBefore returns nothing, because this build cannot know the limit.
func nofileBefore() []savedLimit { return nil }
