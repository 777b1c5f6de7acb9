//go:build !cgshim_portable && !race && !cgo

#include "textflag.h"

#define SYS_exit              60
#define SYS_rt_sigreturn      15
#define SYS_rt_tgsigqueueinfo 297
#define SI_TKILL              -6
#define SIGSEGV               11
#define SIGURG                23
#define ALARM                 32

// Offsets in siginfo_t (sigaction(2)).
#define si_code  8
#define si_pid   16

// redirect is the signal handler of the whole process. DI is the number of the signal,
// SI the siginfo_t, and DX the context. signals_native.go explains the rules.
TEXT ·redirect(SB),NOSPLIT|NOFRAME,$0
	CMPL	DI, $ALARM		// the alarm has interrupted a write already
	JEQ	drop
	MOVL	DI, R8
	LEAQ	·runtimeHandler(SB), R9
	MOVQ	(R9)(R8*8), AX
	MOVL	si_code(SI), R9
	TESTQ	AX, AX
	JZ	queue
	CMPL	R9, $0
	JGT	runtime			// the kernel raised the signal for a fault
	CMPL	R8, $SIGURG
	JNE	sent
	CMPL	R9, $SI_TKILL
	JNE	queue
	MOVL	si_pid(SI), R10
	CMPL	R10, ·self(SB)
	JEQ	runtime			// the scheduler's own preemption signal
queue:
	// rt_tgsigqueueinfo(self, self, number, info)
	ORL	$0x80000000, R9
	MOVL	R9, si_code(SI)
	MOVQ	SI, R10
	MOVL	R8, DX
	MOVL	·self(SB), DI
	MOVL	DI, SI
	MOVL	$SYS_rt_tgsigqueueinfo, AX
	SYSCALL
drop:
	RET
sent:
	// A process has sent a fault signal. The signal has no effect, unless it is the
	// SIGSEGV by which Alone ends threads.
	CMPL	R8, $SIGSEGV
	JNE	drop
	XORL	DI, DI
	XCHGL	DI, ·ending(SB)		// in one step, as endThreads does
	TESTL	DI, DI
	JZ	drop
	XORL	DI, DI
	MOVL	$SYS_exit, AX
	SYSCALL
	INT	$3
runtime:
	JMP	AX

// sigreturn is the return address of the handler. x86-64 needs a restorer for every
// handler (arch/x86/kernel/signal_64.c, x64_setup_rt_frame).
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

// func resetStackGuard()
//
// A request to yield overwrites the stack guard, the third word of g, with which
// compiled code compares the stack pointer. The first word of g is the low end of the
// stack (runtime/runtime2.go, type g). resetStackGuard makes a new guard from it.
TEXT ·resetStackGuard(SB),NOSPLIT,$0-0
	MOVQ	(TLS), AX
	MOVQ	0(AX), CX
	ADDQ	$4096, CX		// more than runtime.stackGuard
	MOVQ	CX, 16(AX)
	RET
