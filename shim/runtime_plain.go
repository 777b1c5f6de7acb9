//go:build !cgshim_release

package shim

import "runtime"

// LockMainThread keeps the caller, an init function, and with it main, on the main
// thread.
func LockMainThread() { runtime.LockOSThread() }

// nofileBefore does not know.
func nofileBefore() *[2]uint64 { return nil }
