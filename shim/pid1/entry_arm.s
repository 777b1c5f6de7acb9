#include "textflag.h"

// entry does the same as in entry_amd64.s. Here g is in a register, and a word has 4 bytes.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVW	$·g0(SB), g
	MOVW	R13, R1			// argc, the arguments, the environment
	MOVW	(R1), R2
	MOVW	R2<<2, R2
	ADD	$1024, R2
	SUB	R2, R1, R0		// room for argc words more than 1024 bytes
	BIC	$15, R0

	MOVW	R1, 4(g)		// g.stack.hi
	SUB	$65536, R0, R2
	MOVW	R2, 0(g)		// g.stack.lo
	ADD	$1024, R2
	MOVW	R2, 8(g)		// g.stackguard0
	MOVW	R2, 12(g)		// g.stackguard1

	SUB	$32, R0, R13
	MOVW	R1, 4(R13)
	MOVW	R0, 8(R13)
	BL	·core(SB)
	WORD	$0xe7f000f0		// an undefined instruction, because core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-8
	MOVW	$github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), R0
	MOVW	R0, first+0(FP)
	MOVW	$·launch(SB), R0
	MOVW	R0, last+4(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-4
	MOVW	vector+0(FP), R0
	MOVW	R0, R13
	B	_rt0_arm_linux(SB)
