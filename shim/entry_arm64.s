//go:build !cgshim_portable

#include "textflag.h"

#define SYS_rt_sigaction   134
#define SYS_rt_sigprocmask 135
#define SYS_prlimit64      261
#define RLIMIT_NOFILE      7

// entry: see entry_amd64.s, this is the same in the other instruction set.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	$0, R0
	MOVD	$0, R1
	MOVD	$·inheritedMask(SB), R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC

	MOVD	$0, R0
	MOVD	$RLIMIT_NOFILE, R1
	MOVD	$0, R2
	MOVD	$·inheritedNofile(SB), R3
	MOVD	$SYS_prlimit64, R8
	SVC

	MOVD	$1, R19
	MOVD	$·inheritedActions+32(SB), R20
next:
	MOVD	R19, R0
	MOVD	$0, R1
	MOVD	R20, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigaction, R8
	SVC
	ADD	$32, R20
	ADD	$1, R19
	CMP	$64, R19
	BLE	next

	MOVW	$1, R0
	MOVW	R0, ·entered(SB)
	B	_rt0_arm64_linux(SB)
