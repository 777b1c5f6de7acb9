#include "textflag.h"

// func Call(number, a, b, c, d, e, f uintptr) uintptr
TEXT ·Call(SB),NOSPLIT,$0-64
	MOVV	number+0(FP), R11
	MOVV	a+8(FP), R4
	MOVV	b+16(FP), R5
	MOVV	c+24(FP), R6
	MOVV	d+32(FP), R7
	MOVV	e+40(FP), R8
	MOVV	f+48(FP), R9
	SYSCALL
	MOVV	R4, ret+56(FP)
	RET
