//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import "runtime"

// limitRuntime has the runtime make fewer threads.
func limitRuntime() { runtime.GOMAXPROCS(1) }

// Alone does nothing here: signals come through the runtime.
func Alone() {}

// Pin does nothing here: which pages the runtime needs is not known.
func Pin() {}
