//go:build cgshim_release && !cgshim_portable && !race && !cgo

#include "textflag.h"

// func sigtable() unsafe.Pointer
TEXT ·sigtable(SB),NOSPLIT,$0-8
	LEAQ	runtime·sigtable(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
