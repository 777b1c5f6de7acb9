#include "textflag.h"

// entry does the same as in entry_amd64.s. Here g is in a register.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	$·g0(SB), g
	MOVD	RSP, R1			// argc, the arguments, the environment
	MOVD	0(R1), R2
	LSL	$3, R2
	ADD	$1024, R2
	SUB	R2, R1, R0		// room for argc words more than 1024 bytes
	AND	$~15, R0

	MOVD	R1, 8(g)		// g.stack.hi
	SUB	$65536, R0, R2
	MOVD	R2, 0(g)		// g.stack.lo
	ADD	$1024, R2
	MOVD	R2, 16(g)		// g.stackguard0
	MOVD	R2, 24(g)		// g.stackguard1

	SUB	$48, R0, R2
	MOVD	R2, RSP
	MOVD	R1, 8(RSP)
	MOVD	R0, 16(RSP)
	BL	·core(SB)
	BRK				// core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-16
	MOVD	$github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), R0
	MOVD	R0, first+0(FP)
	MOVD	$·launch(SB), R0
	MOVD	R0, last+8(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-8
	MOVD	vector+0(FP), R0
	MOVD	R0, RSP
	B	_rt0_arm64_linux(SB)
