//go:build !cgshim_portable && !race && !cgo

#include "textflag.h"

#define SYS_clone          220
#define SYS_futex          98
#define SYS_exit           93
#define FUTEX_WAIT_PRIVATE 128
#define THREAD             0x50f00

// entry does the same as in entry_amd64.s. g is in a register here, and a function that
// does not split the stack never uses it.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	RSP, R0
	SUB	$32, RSP	// slots of enter.go
	SUB	$32, RSP	// room for the link register and the argument of enter, and alignment
	MOVD	R0, 8(RSP)
	BL	·enter(SB)
	ADD	$32, RSP
	B	_rt0_arm64_linux(SB)

// func probeThread() uintptr
TEXT ·probeThread(SB),NOSPLIT,$0-8
	MOVD	$THREAD, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, wait
	MOVD	R0, ret+0(FP)
	RET
wait:
	MOVD	$·probed(SB), R0
	MOVD	$FUTEX_WAIT_PRIVATE, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$SYS_futex, R8
	SVC
	MOVWU	·probed(SB), R0
	CBZ	R0, wait
	MOVD	$0, R0
	MOVD	$SYS_exit, R8
	SVC
	BRK
