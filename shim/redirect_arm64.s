//go:build !cgshim_portable

#include "textflag.h"

#define SYS_rt_sigreturn      139
#define SYS_rt_tgsigqueueinfo 240
#define SI_TKILL              -6
#define SIGURG                23

// redirect: see redirect_amd64.s. R0 = number, R1 = *siginfo, R2 = *ucontext.
TEXT ·redirect(SB),NOSPLIT|NOFRAME,$0
	MOVD	$·runtimeHandler(SB), R3
	MOVD	(R3)(R0<<3), R4
	MOVW	8(R1), R5
	CBZ	R4, queue
	CMPW	$0, R5
	BGT	runtime
	CMPW	$SIGURG, R0
	BNE	drop
	CMPW	$SI_TKILL, R5
	BNE	queue
	MOVW	16(R1), R6
	MOVW	·self(SB), R7
	CMPW	R6, R7
	BEQ	runtime
queue:
	MOVD	$0x80000000, R6
	ORRW	R6, R5
	MOVW	R5, 8(R1)
	MOVD	R1, R3
	MOVD	R0, R2
	MOVW	·self(SB), R0
	MOVD	R0, R1
	MOVD	$SYS_rt_tgsigqueueinfo, R8
	SVC
drop:
	RET
runtime:
	B	(R4)

TEXT ·sigreturn(SB),NOSPLIT|NOFRAME,$0
	MOVD	$SYS_rt_sigreturn, R8
	SVC
	BRK

TEXT ·redirectAddress(SB),NOSPLIT,$0-8
	MOVD	$·redirect(SB), R0
	MOVD	R0, ret+0(FP)
	RET

TEXT ·sigreturnAddress(SB),NOSPLIT,$0-8
	MOVD	$·sigreturn(SB), R0
	MOVD	R0, ret+0(FP)
	RET
