//go:build cgshim_release && !cgshim_portable

#include "textflag.h"

#define FLAGS(sig)         runtime·sigtable+(sig*24)(SB)
#define UNBLOCKABLE        $~0x86
#define BLOCKABLE(sig)     MOVW FLAGS(sig), R0; ANDW UNBLOCKABLE, R0; MOVW R0, FLAGS(sig)

// keepBlocked: see sigtable_amd64.s, this is the same in the other instruction set.
TEXT ·keepBlocked(SB),NOSPLIT|NOFRAME,$0
	MOVW	FLAGS(15), R0
	CMPW	$0x3, R0
	BNE	unknown
	MOVW	FLAGS(17), R0
	CMPW	$0x181, R0
	BNE	unknown
	BLOCKABLE(1)
	BLOCKABLE(2)
	BLOCKABLE(3)
	BLOCKABLE(15)
	BLOCKABLE(16)
	BLOCKABLE(17)
	BLOCKABLE(27)
	BLOCKABLE(34)
unknown:
	RET
