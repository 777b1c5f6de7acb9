#include "textflag.h"

#define SYS_arch_prctl 158
#define ARCH_SET_FS    0x1002

// The kernel starts the process here, because the linker flag -E makes entry the ELF entry
// point. SP points to argc, the arguments, the environment and the auxiliary vector (System
// V ABI, "Initial Stack and Register State").
//
// entry gives the Go code a g whose stack never grows, because it says that the stack is
// large. That is all of the runtime's state that compiled code looks at. Then entry leaves
// room on the stack for the vector of a process that goes on into the runtime (launch), and
// calls core.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	// When assembly calls a Go function, a wrapper of the compiler loads g from 8 bytes
	// below the FS base.
	MOVL	$ARCH_SET_FS, DI
	LEAQ	·tls+64(SB), SI
	MOVL	$SYS_arch_prctl, AX
	SYSCALL
	LEAQ	·g0(SB), R14
	MOVQ	R14, ·tls+56(SB)

	MOVQ	SP, BX			// argc, the arguments, the environment
	MOVQ	0(BX), CX
	SHLQ	$3, CX
	ADDQ	$1024, CX
	SUBQ	CX, SP			// room for argc words more than 1024 bytes
	ANDQ	$~15, SP

	MOVQ	BX, 8(R14)		// g.stack.hi
	MOVQ	SP, AX
	SUBQ	$65536, AX
	MOVQ	AX, 0(R14)		// g.stack.lo
	ADDQ	$1024, AX
	MOVQ	AX, 16(R14)		// g.stackguard0
	MOVQ	AX, 24(R14)		// g.stackguard1

	MOVQ	SP, AX
	SUBQ	$32, SP
	MOVQ	BX, 0(SP)
	MOVQ	AX, 8(SP)
	CALL	·core(SB)
	INT	$3			// core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-16
	LEAQ	github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), AX
	MOVQ	AX, first+0(FP)
	LEAQ	·launch(SB), AX
	MOVQ	AX, last+8(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-8
	MOVQ	vector+0(FP), AX
	MOVQ	AX, SP
	JMP	_rt0_amd64_linux(SB)
