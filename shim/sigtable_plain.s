//go:build (amd64 || arm64) && !cgshim_release && !cgshim_portable

#include "textflag.h"

// keepBlocked does nothing where the linker does not allow to name the runtime's
// table (runtime_release.go).
TEXT ·keepBlocked(SB),NOSPLIT|NOFRAME,$0
	RET
