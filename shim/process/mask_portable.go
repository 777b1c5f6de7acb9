//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// swapMask changes the signal mask of this thread as sigprocmask(2) does, and returns
// the old mask.
func swapMask(how int, set Set) (old Set) {
	var next, last unix.Sigset_t
	for sig := range 64 { // the elements of Val have 32 or 64 bits
		if set>>sig&1 == 1 {
			next.Val[sig/wordBits] |= 1 << (sig % wordBits)
		}
	}
	_ = unix.PthreadSigmask(how, &next, &last)
	for sig := range 64 {
		if last.Val[sig/wordBits]>>(sig%wordBits)&1 == 1 {
			old |= 1 << sig
		}
	}
	return old
}

const wordBits = int(unsafe.Sizeof(unix.Sigset_t{}.Val[0])) * 8
