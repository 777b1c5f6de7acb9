#include "textflag.h"

#define SYS_set_thread_area 243

// entry does the same as in entry_amd64.s, and a word has 4 bytes. The compiler loads the
// address of the thread's storage from 0(GS), and g from 4 bytes below that address. So the
// first word of the storage is its own address.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	LEAL	·tls+64(SB), AX
	MOVL	AX, ·tls+64(SB)
	LEAL	·g0(SB), DX
	MOVL	DX, ·tls+60(SB)

	// A struct user_desc (set_thread_area(2)): the kernel chooses the segment, which begins at
	// the storage and has 4 GB.
	LEAL	·tls(SB), BX
	MOVL	$-1, 0(BX)
	MOVL	AX, 4(BX)
	MOVL	$0xfffff, 8(BX)
	MOVL	$0x51, 12(BX)		// seg_32bit, limit_in_pages, usable
	MOVL	$SYS_set_thread_area, AX
	INT	$0x80
	MOVL	0(BX), AX
	LEAL	3(AX*8), AX		// a selector of the GDT, for user mode
	MOVW	AX, GS

	MOVL	SP, BX			// argc, the arguments, the environment
	MOVL	0(BX), CX
	SHLL	$2, CX
	ADDL	$1024, CX
	SUBL	CX, SP			// room for argc words more than 1024 bytes
	ANDL	$~15, SP

	MOVL	BX, 4(DX)		// g.stack.hi
	MOVL	SP, AX
	SUBL	$65536, AX
	MOVL	AX, 0(DX)		// g.stack.lo
	ADDL	$1024, AX
	MOVL	AX, 8(DX)		// g.stackguard0
	MOVL	AX, 12(DX)		// g.stackguard1

	MOVL	SP, AX
	SUBL	$16, SP
	MOVL	BX, 0(SP)
	MOVL	AX, 4(SP)
	CALL	·core(SB)
	INT	$3			// core does not return

// func bounds() (first, last uintptr)
TEXT ·bounds(SB),NOSPLIT,$0-8
	LEAL	github·com∕cgshim∕cgshim∕internal∕sys·Call(SB), AX
	MOVL	AX, first+0(FP)
	LEAL	·launch(SB), AX
	MOVL	AX, last+4(FP)
	RET

// launch is the last function of the package (bounds).
//
// func launch(vector uintptr)
TEXT ·launch(SB),NOSPLIT,$0-4
	MOVL	vector+0(FP), AX
	MOVL	AX, SP
	JMP	_rt0_386_linux(SB)
