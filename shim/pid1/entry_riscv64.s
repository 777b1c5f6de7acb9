#include "textflag.h"

// entry does the same as in entry_amd64.s. Here g is in a register.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOV	$·g0(SB), g
	MOV	X2, A1			// argc, the arguments, the environment
	MOV	0(A1), A2
	SLL	$3, A2
	ADD	$1024, A2
	SUB	A2, A1, A0		// room for argc words more than 1024 bytes
	AND	$~15, A0

	MOV	A1, 8(g)		// g.stack.hi
	MOV	$65536, T0
	SUB	T0, A0, A2
	MOV	A2, 0(g)		// g.stack.lo
	ADD	$1024, A2
	MOV	A2, 16(g)		// g.stackguard0
	MOV	A2, 24(g)		// g.stackguard1

	ADD	$-48, A0, X2
	MOV	A1, 8(X2)
	MOV	A0, 16(X2)
	CALL	·core(SB)
	EBREAK				// core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-16
	MOV	$github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), X5
	MOV	X5, first+0(FP)
	MOV	$·launch(SB), X5
	MOV	X5, last+8(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-8
	MOV	vector+0(FP), A0
	MOV	A0, X2
	JMP	_rt0_riscv64_linux(SB)
