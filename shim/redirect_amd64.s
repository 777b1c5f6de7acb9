//go:build !cgshim_portable

#include "textflag.h"

#define SYS_rt_sigreturn      15
#define SYS_rt_tgsigqueueinfo 297
#define SI_TKILL              -6
#define SIGURG                23

// redirect is the signal handler of the whole process: DI = number,
// SI = *siginfo, DX = *ucontext. See signals_native.go for the rules.
TEXT ·redirect(SB),NOSPLIT|NOFRAME,$0
	MOVL	DI, R8
	LEAQ	·runtimeHandler(SB), R9
	MOVQ	(R9)(R8*8), AX
	MOVL	8(SI), R9	// si_code
	TESTQ	AX, AX
	JZ	queue
	CMPL	R9, $0
	JGT	runtime		// raised by the kernel: a real fault
	CMPL	R8, $SIGURG
	JNE	drop		// a fault signal that somebody sent
	CMPL	R9, $SI_TKILL
	JNE	queue
	MOVL	16(SI), R10	// si_pid
	CMPL	R10, ·self(SB)
	JEQ	runtime		// the scheduler's own preemption signal
queue:
	ORL	$0x80000000, R9
	MOVL	R9, 8(SI)
	MOVQ	SI, R10
	MOVL	R8, DX
	MOVL	·self(SB), DI
	MOVL	DI, SI
	MOVL	$SYS_rt_tgsigqueueinfo, AX
	SYSCALL
drop:
	RET
runtime:
	JMP	AX

// sigreturn is the return address of the handler: x86-64 wants one with
// every handler (SA_RESTORER, rt_sigaction's arch/x86/kernel/signal_64.c).
TEXT ·sigreturn(SB),NOSPLIT|NOFRAME,$0
	MOVL	$SYS_rt_sigreturn, AX
	SYSCALL
	INT	$3

TEXT ·redirectAddress(SB),NOSPLIT,$0-8
	LEAQ	·redirect(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·sigreturnAddress(SB),NOSPLIT,$0-8
	LEAQ	·sigreturn(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
