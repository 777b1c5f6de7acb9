//go:build mips || mipsle || mips64 || mips64le

package pid1

// MIPS has 127 signals (arch/mips/include/uapi/asm/signal.h). A Set has the first 64 of them.
const sigsetSize = 16

// On MIPS the code comes before the errno (arch/mips/include/uapi/asm/siginfo.h).
type siginfoHead struct{ signo, code, _ int32 }
