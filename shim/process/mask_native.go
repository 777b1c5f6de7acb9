//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// swapMask changes the signal mask of this thread as sigprocmask(2) does, and returns
// the old mask.
func swapMask(how int, set Set) (old Set) {
	sys(unix.SYS_RT_SIGPROCMASK, uintptr(how), uintptr(unsafe.Pointer(&set)), uintptr(unsafe.Pointer(&old)), 8, 0, 0)
	return old
}
