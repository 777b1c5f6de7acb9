package process

import (
	"slices"

	"golang.org/x/sys/unix"
)

// CloseInherited closes the descriptors above 2 that this process inherited, except the
// kept ones. The program has the same descriptors. If this process kept a pipe or a
// socket open, the reader at the other end would not see the end of the data.
// CloseInherited ignores negative numbers in kept.
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
	if first > last || alone && errnoOf(sys(unix.SYS_CLOSE_RANGE, uintptr(first), uintptr(last), 0, 0, 0, 0)) == 0 {
		return
	}
	// Linux before 5.9 and some seccomp profiles do not know close_range(2). The list
	// of descriptors changes while this loop reads it, so the loop starts again until
	// it closes nothing. The list includes own, from which this loop reads the list.
	for again := true; again; {
		again = false
		listed := eachNumber("/proc/self/fd", func(own, fd int) bool {
			if fd >= first && fd <= last && fd != own && closeIfInherited(fd) {
				again = true
			}
			return true
		})
		if !listed { // without /proc
			for fd := first; fd <= min(last, 1<<16); fd++ {
				closeIfInherited(fd)
			}
		}
	}
}

// closeIfInherited closes fd and reports whether it did. It does not close a descriptor
// of a runtime that is still there. Such a descriptor has the close-on-exec flag, which
// no descriptor that came through execve(2) can have.
func closeIfInherited(fd int) bool {
	if !alone {
		flags, errno := result(sys(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFD, 0, 0, 0, 0))
		if errno != 0 || flags&unix.FD_CLOEXEC != 0 {
			return false
		}
	}
	return errnoOf(sys(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0)) == 0
}
