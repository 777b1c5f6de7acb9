//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

// sys makes a system call and returns the kernel's result, in which an error is a
// negative number. Unlike syscall.Syscall, it tells Go's runtime nothing. Unlike
// syscall.RawSyscall, it works before the runtime has started.
func sys(number, a, b, c, d, e, f uintptr) uintptr
