package process

import (
	"slices"

	"golang.org/x/sys/unix"
)

// CloseInherited closes the descriptors above 2 that this process was started with, but
// the kept ones: the program has them too, and an init that keeps a
// pipe or a socket open hides its end from the reader. A negative kept one is none.
func CloseInherited(kept ...int) {
	first := 3
	slices.Sort(kept)
	for _, fd := range kept {
		if fd >= first {
			closeBetween(first, fd-1)
			first = fd + 1
		}
	}
	closeBetween(first, 1<<31-1)
}

func closeBetween(first, last int) {
	if first > last || errnoOf(sys(unix.SYS_CLOSE_RANGE, uintptr(first), uintptr(last), 0, 0, 0, 0)) == 0 {
		return
	}
	// Before Linux 5.9, and where a seccomp profile does not know the call. The list
	// changes while it is read, so it is read until nothing is closed. It has the descriptor
	// that it is read by.
	for again := true; again; {
		again = false
		listed := eachNumber("/proc/self/fd", func(own, fd int) bool {
			if fd >= first && fd <= last && fd != own && errnoOf(sys(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0)) == 0 {
				again = true
			}
			return true
		})
		if !listed { // without /proc
			for fd := first; fd <= min(last, 1<<16); fd++ {
				sys(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0)
			}
		}
	}
}
