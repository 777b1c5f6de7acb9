package pid1

import "golang.org/x/sys/unix"

// A helper that is the first process of a new PID namespace becomes the program itself
// (otherNamespace). The runtime has changed what such a process hands down, so it is
// recorded before and restored after.

// recordActions notes which signals are ignored. The runtime handles every signal, and after
// an execve(2) a handled signal has its default action.
func (l *life) recordActions() {
	for sig := Signal(1); sig < NumSignals; sig++ {
		var old action
		call(unix.SYS_RT_SIGACTION, uintptr(sig), 0, address(&old), sigsetSize)
		if old[0] == sigIgnore {
			l.ignored |= bit(sig)
		}
	}
}

// inside becomes the program. It returns never.
func (l *life) inside() {
	swapMask(^Set(0))
	var ignore action
	ignore[0] = sigIgnore
	for sig := Signal(1); sig < NumSignals; sig++ {
		if l.ignored.Has(sig) {
			call(unix.SYS_RT_SIGACTION, uintptr(sig), address(&ignore), 0, sigsetSize)
		}
	}
	for fd := range 3 {
		if l.orders.closed>>uint(fd)&1 == 1 {
			closeFile(fd)
		}
	}
	l.openTerminal()
	l.become()
}
