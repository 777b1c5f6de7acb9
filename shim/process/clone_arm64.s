//go:build !cgshim_portable && !race && !cgo

#include "textflag.h"

#define SYS_clone 220

// func clone(flags, stack uintptr, p *Program) uintptr
//
// See clone_amd64.s.
TEXT ·clone(SB),NOSPLIT,$0-32
	MOVD	flags+0(FP), R0
	MOVD	stack+8(FP), R1
	MOVD	p+16(FP), R19
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, child
	MOVD	R0, ret+24(FP)
	RET
child:
	SUB	$32, RSP	// room for the link register and the argument, and alignment
	MOVD	R19, 8(RSP)
	BL	·cloned(SB)
	BRK
