//go:build !cgshim_portable

#include "textflag.h"

#define SYS_rt_sigaction   13
#define SYS_rt_sigprocmask 14
#define SYS_fcntl          72
#define SYS_prlimit64      302
#define RLIMIT_NOFILE      7
#define F_GETFD            1
#define SIG_SETMASK        2

// entry is the first code of the process. It asks the kernel for the signal
// mask, the descriptor limit, the 64 dispositions and the standard descriptors,
// blocks signals, hides the variables of Go's runtime, and goes on to the runtime's
// own entry point. The stack pointer, which the runtime reads argc from, is left
// alone. System calls here cannot fail, for the arguments are constant, but that for
// a closed descriptor.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	XORL	DI, DI
	XORL	SI, SI
	LEAQ	·inheritedMask(SB), DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigprocmask, AX
	SYSCALL

	XORL	DI, DI
	MOVL	$RLIMIT_NOFILE, SI
	XORL	DX, DX
	LEAQ	·inheritedNofile(SB), R10
	MOVL	$SYS_prlimit64, AX
	SYSCALL

	MOVL	$1, BX
	LEAQ	·inheritedActions+32(SB), R12
next:
	MOVL	BX, DI
	XORL	SI, SI
	MOVQ	R12, DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigaction, AX
	SYSCALL
	ADDQ	$32, R12
	INCL	BX
	CMPL	BX, $64
	JLE	next

	XORL	BX, BX
	LEAQ	·inheritedStdio(SB), R12
descriptor:
	MOVL	BX, DI
	MOVL	$F_GETFD, SI
	MOVL	$SYS_fcntl, AX
	SYSCALL
	MOVQ	AX, (R12)
	ADDQ	$8, R12
	INCL	BX
	CMPL	BX, $3
	JLT	descriptor

	MOVL	$SIG_SETMASK, DI
	LEAQ	·deferred(SB), SI
	XORL	DX, DX
	MOVL	$8, R10
	MOVL	$SYS_rt_sigprocmask, AX
	SYSCALL

	MOVQ	0(SP), BX		// argc; the arguments and a null pointer follow
	LEAQ	16(SP)(BX*8), BX
variable:
	MOVQ	(BX), AX
	TESTQ	AX, AX
	JEQ	last
	CMPW	(AX), $0x4f47		// "GO"
	JNE	other
	INCQ	(BX)
other:
	ADDQ	$8, BX
	JMP	variable
last:
	CALL	·keepBlocked(SB)
	MOVQ	SP, ·inheritedStack(SB)
	MOVL	$1, ·entered(SB)
	JMP	_rt0_amd64_linux(SB)
