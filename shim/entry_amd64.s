//go:build !cgshim_portable

#include "textflag.h"

#define SYS_rt_sigaction   13
#define SYS_rt_sigprocmask 14
#define SYS_prlimit64      302
#define RLIMIT_NOFILE      7

// entry is the first code of the process. It asks the kernel for the signal
// mask, the descriptor limit and the 64 dispositions, and goes on to the
// runtime's own entry point. The stack pointer, which the runtime reads argc
// from, is left alone. System calls here cannot fail: the arguments are constant.
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

	MOVL	$1, ·entered(SB)
	JMP	_rt0_amd64_linux(SB)
