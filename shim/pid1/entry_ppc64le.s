#include "textflag.h"

// entry does the same as in entry_amd64.s. Here g is in a register, and R0 is always zero.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	XOR	R0, R0
	MOVD	$·g0(SB), g
	MOVD	R1, R4			// argc, the arguments, the environment
	MOVD	0(R4), R5
	SLD	$3, R5
	ADD	$1024, R5
	SUB	R5, R4, R3		// room for argc words more than 1024 bytes
	RLDCR	$0, R3, $~15, R3

	MOVD	R4, 8(g)		// g.stack.hi
	ADD	$-65536, R3, R5
	MOVD	R5, 0(g)		// g.stack.lo
	ADD	$1024, R5
	MOVD	R5, 16(g)		// g.stackguard0
	MOVD	R5, 24(g)		// g.stackguard1

	ADD	$-64, R3, R1
	MOVD	R0, 0(R1)		// end of the chain of frames
	MOVD	R4, 32(R1)
	MOVD	R3, 40(R1)
	CALL	·core(SB)
	TW	$31, R0, R0		// core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-16
	MOVD	$github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), R3
	MOVD	R3, first+0(FP)
	MOVD	$·launch(SB), R3
	MOVD	R3, last+8(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-8
	MOVD	vector+0(FP), R3
	MOVD	R3, R1
	BR	_rt0_ppc64le_linux(SB)
