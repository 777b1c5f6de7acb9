//go:build !cgshim_portable && !race && !cgo

#include "textflag.h"

#define SYS_exit              93
#define SYS_rt_sigreturn      139
#define SYS_rt_tgsigqueueinfo 240
#define SI_TKILL              -6
#define SIGSEGV               11
#define SIGURG                23
#define ALARM                 32

#define si_code  8
#define si_pid   16

// redirect does the same as in redirect_amd64.s. R0 is the number of the signal, R1 the
// siginfo_t, and R2 the context.
TEXT ·redirect(SB),NOSPLIT|NOFRAME,$0
	CMPW	$ALARM, R0
	BEQ	drop
	MOVD	$·runtimeHandler(SB), R3
	MOVD	(R3)(R0<<3), R4
	MOVW	si_code(R1), R5
	CBZ	R4, queue
	CMPW	$0, R5
	BGT	runtime
	CMPW	$SIGURG, R0
	BNE	sent
	CMPW	$SI_TKILL, R5
	BNE	queue
	MOVW	si_pid(R1), R6
	MOVW	·self(SB), R7
	CMPW	R6, R7
	BEQ	runtime
queue:
	MOVD	$0x80000000, R6
	ORRW	R6, R5
	MOVW	R5, si_code(R1)
	MOVD	R1, R3
	MOVD	R0, R2
	MOVW	·self(SB), R0
	MOVD	R0, R1
	MOVD	$SYS_rt_tgsigqueueinfo, R8
	SVC
drop:
	RET
sent:
	CMPW	$SIGSEGV, R0
	BNE	drop
	MOVD	$·ending(SB), R3
take:
	LDAXRW	(R3), R4
	STLXRW	ZR, (R3), R5
	CBNZW	R5, take
	CBZW	R4, drop
	MOVD	$0, R0
	MOVD	$SYS_exit, R8
	SVC
	BRK
runtime:
	B	(R4)

// This architecture needs no sigreturn, because the kernel returns through the vDSO.
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

// func resetStackGuard()
//
// See redirect_amd64.s.
TEXT ·resetStackGuard(SB),NOSPLIT,$0-0
	MOVD	0(g), R0
	ADD	$4096, R0
	MOVD	R0, 16(g)
	RET
