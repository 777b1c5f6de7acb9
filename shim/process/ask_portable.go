//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import "time"

// Ask returns what answer returns. Here the runtime keeps its threads, so no copy of
// this process could run answer.
func Ask(answer func() string, _ time.Duration, _ func() bool) []byte { return []byte(answer()) }
