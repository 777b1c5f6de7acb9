//go:build !(386 || amd64 || arm || arm64 || loong64 || ppc64le || riscv64 || s390x)

package sys

import "syscall"

// Call makes a system call and returns the kernel's result, in which an error is a
// negative number.
//
//go:nosplit
//go:norace
func Call(number, a, b, c, d, e, f uintptr) uintptr {
	r, _, errno := syscall.RawSyscall6(number, a, b, c, d, e, f)
	if errno != 0 {
		return -uintptr(errno)
	}
	return r
}
