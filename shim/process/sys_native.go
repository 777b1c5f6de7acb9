//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

// sys makes a system call and returns what the kernel returned: errors are negative
// numbers. Unlike syscall.Syscall it tells Go's runtime nothing, and unlike
// syscall.RawSyscall it can be called before the runtime has started.
func sys(number, a, b, c, d, e, f uintptr) uintptr
