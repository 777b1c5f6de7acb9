//go:build 386 || arm

package pid1

import "golang.org/x/sys/unix"

const sysMmap = unix.SYS_MMAP2
