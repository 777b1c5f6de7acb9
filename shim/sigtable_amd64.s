//go:build cgshim_release && !cgshim_portable

#include "textflag.h"

// An element of runtime.sigtable is an int32 and a string. The flags that make a
// signal one that may not be blocked are _SigKill, _SigThrow and _SigUnblock.
#define FLAGS(sig)         runtime·sigtable+(sig*24)(SB)
#define UNBLOCKABLE        $~0x86

// keepBlocked takes those flags from the signals that entry blocks. It checks two
// elements first: another version of the runtime is left alone.
TEXT ·keepBlocked(SB),NOSPLIT|NOFRAME,$0
	CMPL	FLAGS(15), $0x3		// _SigNotify + _SigKill
	JNE	unknown
	CMPL	FLAGS(17), $0x181	// _SigNotify + _SigUnblock + _SigIgn
	JNE	unknown
	ANDL	UNBLOCKABLE, FLAGS(1)	// HUP
	ANDL	UNBLOCKABLE, FLAGS(2)	// INT
	ANDL	UNBLOCKABLE, FLAGS(3)	// QUIT
	ANDL	UNBLOCKABLE, FLAGS(15)	// TERM
	ANDL	UNBLOCKABLE, FLAGS(16)	// STKFLT
	ANDL	UNBLOCKABLE, FLAGS(17)	// CHLD
	ANDL	UNBLOCKABLE, FLAGS(27)	// PROF
	ANDL	UNBLOCKABLE, FLAGS(34)	// RTMIN
unknown:
	RET
