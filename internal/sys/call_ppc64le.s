#include "textflag.h"

// func Call(number, a, b, c, d, e, f uintptr) uintptr
//
// On this port the kernel returns an error as a positive number, and sets a bit that the
// processor has for an overflow (syscall(2), "Architecture calling conventions").
TEXT ·Call(SB),NOSPLIT,$0-64
	MOVD	number+0(FP), R9
	MOVD	a+8(FP), R3
	MOVD	b+16(FP), R4
	MOVD	c+24(FP), R5
	MOVD	d+32(FP), R6
	MOVD	e+40(FP), R7
	MOVD	f+48(FP), R8
	SYSCALL	R9
	BVC	done
	NEG	R3
done:
	MOVD	R3, ret+56(FP)
	RET
