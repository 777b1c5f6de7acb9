//go:build 386 || amd64 || arm || arm64 || loong64 || ppc64le || riscv64 || s390x

package sys

// Call makes a system call and returns the kernel's result, in which an error is a
// negative number.
//
//go:noescape
func Call(number, a, b, c, d, e, f uintptr) uintptr
