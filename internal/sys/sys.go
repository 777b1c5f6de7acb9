// Package sys makes system calls that Go's runtime does not see. So they also work in a
// process that has no runtime, which PID 1 is (docs/adr/0008-no-runtime.md).
package sys

import "syscall"

// Errno returns the errno in the result of a system call, or 0. The kernel returns an
// error as a number from -4095 to -1 (syscall(2), "Architecture calling conventions").
//
//go:nosplit
func Errno(result uintptr) syscall.Errno {
	if result > ^uintptr(4095) {
		return syscall.Errno(-result)
	}
	return 0
}
