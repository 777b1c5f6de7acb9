//go:build !cgshim_portable && !race && !cgo

#include "textflag.h"

#define SYS_clone 56

// func clone(flags, stack uintptr, p *Program) uintptr
//
// The child runs (*Program).child on a stack of its own and never returns. In the child
// R14, which points to Go's g, has the value of the parent. No code in the child uses
// that g.
TEXT ·clone(SB),NOSPLIT,$0-32
	MOVQ	flags+0(FP), DI
	MOVQ	stack+8(FP), SI
	MOVQ	p+16(FP), R12
	XORL	DX, DX		// three arguments that only threads use
	XORL	R10, R10
	XORL	R8, R8
	MOVL	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JZ	child
	MOVQ	AX, ret+24(FP)
	RET
child:
	SUBQ	$16, SP		// room for the argument, and alignment of the stack
	MOVQ	R12, 0(SP)
	CALL	·cloned(SB)
	INT	$3
