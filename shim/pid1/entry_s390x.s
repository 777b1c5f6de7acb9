#include "textflag.h"

// entry does the same as in entry_amd64.s. Here g is in a register, and R0 is always zero.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	XOR	R0, R0
	MOVD	$·g0(SB), g
	MOVD	R15, R3			// argc, the arguments, the environment
	MOVD	0(R3), R4
	SLD	$3, R4
	ADD	$1024, R4
	SUB	R4, R3, R2		// room for argc words more than 1024 bytes
	AND	$~15, R2

	MOVD	R3, 8(g)		// g.stack.hi
	SUB	$65536, R2, R4
	MOVD	R4, 0(g)		// g.stack.lo
	ADD	$1024, R4
	MOVD	R4, 16(g)		// g.stackguard0
	MOVD	R4, 24(g)		// g.stackguard1

	SUB	$48, R2, R15
	MOVD	R3, 8(R15)
	MOVD	R2, 16(R15)
	CALL	·core(SB)
	BRRK				// core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-16
	MOVD	$github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), R1
	MOVD	R1, first+0(FP)
	MOVD	$·launch(SB), R1
	MOVD	R1, last+8(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-8
	MOVD	vector+0(FP), R2
	MOVD	R2, R15
	BR	_rt0_s390x_linux(SB)
