package pid1

import "golang.org/x/sys/unix"

const sigsetSize = 8
const sysMmap = unix.SYS_MMAP
