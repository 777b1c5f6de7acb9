//go:build amd64 || arm64

package sys

// Call makes a system call and returns the kernel's result, in which an error is a
// negative number.
//
//go:noescape
func Call(number, a, b, c, d, e, f uintptr) uintptr
