//go:build !(mips || mipsle || mips64 || mips64le)

package pid1

// sigsetSize is the size of the kernel's sigset_t.
const sigsetSize = 8

// siginfoHead is the start of a siginfo_t.
type siginfoHead struct{ signo, _, code int32 }
