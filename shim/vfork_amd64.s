//go:build !cgshim_portable

#include "textflag.h"

#define SYS_clone 56

// func vfork(flags, stack uintptr, p *program) (pid uintptr)
//
// The child runs (*program).child on a stack of its own, in the parent's memory,
// and never returns. R14, Go's g, is the same in both: nothing in the child looks
// at what it points to.
TEXT ·vfork(SB),NOSPLIT,$0-32
	MOVQ	flags+0(FP), DI
	MOVQ	stack+8(FP), SI
	MOVQ	p+16(FP), R12
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVL	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JZ	child
	MOVQ	AX, pid+24(FP)
	RET
child:
	SUBQ	$16, SP
	MOVQ	R12, 0(SP)
	CALL	·vforked(SB)
	INT	$3
