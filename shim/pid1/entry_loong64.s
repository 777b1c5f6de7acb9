#include "textflag.h"

// entry does the same as in entry_amd64.s. Here g is in a register.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVV	$·g0(SB), g
	MOVV	R3, R5			// argc, the arguments, the environment
	MOVV	0(R5), R6
	SLLV	$3, R6
	ADDV	$1024, R6
	SUBV	R6, R5, R4		// room for argc words more than 1024 bytes
	AND	$~15, R4

	MOVV	R5, 8(g)		// g.stack.hi
	MOVV	$65536, R7
	SUBV	R7, R4, R6
	MOVV	R6, 0(g)		// g.stack.lo
	ADDV	$1024, R6
	MOVV	R6, 16(g)		// g.stackguard0
	MOVV	R6, 24(g)		// g.stackguard1

	ADDV	$-48, R4, R3
	MOVV	R5, 8(R3)
	MOVV	R4, 16(R3)
	CALL	·core(SB)
	BREAK				// core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-16
	MOVV	$github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), R4
	MOVV	R4, first+0(FP)
	MOVV	$·launch(SB), R4
	MOVV	R4, last+8(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-8
	MOVV	vector+0(FP), R4
	MOVV	R4, R3
	JMP	_rt0_loong64_linux(SB)
