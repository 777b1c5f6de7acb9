//go:build !cgshim_portable && !race && !cgo

#include "textflag.h"

#define SYS_arch_prctl     158
#define SYS_clone          56
#define SYS_futex          202
#define SYS_exit           60
#define ARCH_SET_FS        0x1002
#define FUTEX_WAIT_PRIVATE 128
// CLONE_VM, FS, FILES, SIGHAND, THREAD and SYSVSEM make a thread (clone(2)).
#define THREAD             0x50f00

// entry is the first code of the process, because the linker flag -E makes it the ELF
// entry point. It makes room on the stack for the variables of enter.go, calls enter,
// and jumps to the runtime's entry point.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	// When assembly calls a Go function, a wrapper of the compiler loads g from 8 bytes
	// below the FS base. So the base must point to memory. The runtime later sets the
	// base to its own memory (settls).
	MOVL	$ARCH_SET_FS, DI
	LEAQ	·scratchTLS+16(SB), SI
	MOVL	$SYS_arch_prctl, AX
	SYSCALL

	MOVQ	SP, AX		// argc, the arguments, the environment (System V ABI)
	SUBQ	$32, SP		// slots of enter.go
	SUBQ	$16, SP		// room for the argument of enter, and alignment of the stack
	MOVQ	AX, 0(SP)
	CALL	·enter(SB)
	ADDQ	$16, SP
	JMP	_rt0_amd64_linux(SB)

// func probeThread() uintptr
//
// probeThread creates a thread that waits until probed is set and then ends. The thread
// uses no stack.
TEXT ·probeThread(SB),NOSPLIT,$0-8
	MOVL	$THREAD, DI
	XORL	SI, SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVL	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JZ	wait
	MOVQ	AX, ret+0(FP)
	RET
wait:
	LEAQ	·probed(SB), DI
	MOVL	$FUTEX_WAIT_PRIVATE, SI
	XORL	DX, DX		// wait while probed is 0
	XORL	R10, R10	// without a time limit
	MOVL	$SYS_futex, AX
	SYSCALL
	CMPL	·probed(SB), $0
	JEQ	wait
	XORL	DI, DI
	MOVL	$SYS_exit, AX
	SYSCALL
	INT	$3
