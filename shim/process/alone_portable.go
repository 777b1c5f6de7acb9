//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import "runtime"

// alone is false, because the runtime stays.
const alone = false

// limitRuntime makes the runtime create fewer threads.
func limitRuntime() { runtime.GOMAXPROCS(1) }

// Alone does nothing here, because signals arrive through the runtime.
func Alone() {}

// Load does nothing here, because Pin does nothing.
func Load() {}

// Pin does nothing here, because the pages that the runtime needs are unknown.
func Pin() {}
