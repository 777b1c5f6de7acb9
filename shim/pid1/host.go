package pid1

import (
	"time"

	"golang.org/x/sys/unix"
)

// A Source gives the loop of PID 1 its signals and does the work of its helpers in an ordinary Go program, where
// there is no entry point: in a plain `go build` and on ports without an entry file.
type Source interface {
	// Next waits for a signal as rt_sigtimedwait(2) does.
	Next(limit time.Duration) (sig Signal, ok bool)
	// Help does what a helper does.
	Help(role Role)
	// Pending returns the signals that Next has not returned yet.
	Pending() Set
}

// Changed is the signal by which Next says that the container's limits may have changed.
const Changed = changed

// Host makes the orders for an ordinary Go program, which is PID 1 itself.
func Host(source Source) *Orders {
	l := &self
	l.orders, l.host = new(Orders), source
	if memory, errno := mapShared(ordersSize); errno == 0 { // a child says there why it could not execute the program
		setOrders(memory)
	}
	o := l.orders
	l.about()
	var inherited mask
	call(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, 0, address(&inherited), sigsetSize)
	o.inherited = inherited.set()
	return o
}

// Live is the life of PID 1 in an ordinary Go program. The caller has locked the goroutine to
// its thread. This thread takes no signal, so that no handler of the runtime runs in a child
// before its execve, and so that the stack of the goroutine does not move. It returns never.
func Live() {
	growStack()
	swapMask(^Set(0))
	self.live()
}

// dropHandlers gives each signal that the runtime handles its default action. In a child the
// handler would take a signal that comes before the execve.
func dropHandlers() {
	for sig := Signal(1); sig < NumSignals; sig++ {
		var none, old action
		call(unix.SYS_RT_SIGACTION, uintptr(sig), 0, address(&old), sigsetSize)
		if old[0] != sigIgnore {
			call(unix.SYS_RT_SIGACTION, uintptr(sig), address(&none), 0, sigsetSize)
		}
	}
}

// growStack grows the goroutine's stack to the largest size that it will need, because a
// child cannot do that.
//
//go:noinline
func growStack() (sum byte) {
	var frame [64 << 10]byte
	for i := range frame {
		sum += frame[i] + byte(i)
	}
	return sum
}
