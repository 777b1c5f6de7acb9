//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import "time"

// setAlarm does nothing here. WriteError relies on poll(2) alone.
func setAlarm(time.Duration) {}
