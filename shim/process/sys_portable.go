//go:build !(amd64 || arm64) || cgshim_portable || race || cgo

package process

import "syscall"

// sys makes a system call that Go's runtime does not see. It returns the kernel's
// result, in which an error is a negative number. go:uintptrescapes puts memory that an
// argument points to on the heap, where the memory does not move.
//
//go:uintptrescapes
//go:nosplit
//go:norace
func sys(number, a, b, c, d, e, f uintptr) uintptr {
	r, _, errno := syscall.RawSyscall6(number, a, b, c, d, e, f)
	if errno != 0 {
		return -uintptr(errno)
	}
	return r
}
