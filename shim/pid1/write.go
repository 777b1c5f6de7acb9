package pid1

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// patience is how long PID 1 waits for a write to standard error. It is short after a write
// that has waited in vain.
const (
	longPatience  = 100 * time.Millisecond
	shortPatience = time.Millisecond
)

// flush writes the page. A write may block for ever, because standard error may be a pipe or
// a terminal that nobody reads. PID 1 cannot make it not block, because the program shares
// the flag O_NONBLOCK, and poll(2) only knows whether there was room a moment ago. So a child
// makes the write, and PID 1 waits for the child for a while. Where there can be no child,
// the lines are lost.
//
// The end of the child raises the signal written and not SIGCHLD, about which there may be a
// line.
//
// handedOver is false if there can be no child.
func (l *life) flush() (handedOver bool) {
	if l.page.n == 0 {
		return true
	}
	size := l.page.n
	l.page.n = 0
	if l.writing() {
		return true
	}
	end := written
	if l.host != nil { // another thread of the runtime would take the signal
		end = 0
	}
	pid, errno := fork(end)
	// QEMU's user mode makes no process that sends another signal than SIGCHLD. After the end
	// of the program's PID namespace there can be no child at all (pid_namespaces(7), ENOMEM).
	if errno == unix.EINVAL || errno == unix.ENOMEM && l.orders.Elsewhere && writable(2) {
		writeAll(2, address(&l.page.text), uintptr(size))
		return true
	}
	if errno != 0 {
		return false
	}
	if pid == 0 {
		l.dieWithParent()
		writeAll(2, address(&l.page.text), uintptr(size))
		exit(0)
	}
	l.writer = pid
	l.awaitWriter()
	return true
}

// writing reports whether a child still writes, although it was killed.
func (l *life) writing() bool {
	if l.writer != 0 && reaper.Gone(l.writer) {
		l.writer = 0
	}
	return l.writer != 0
}

// awaitWriter waits for the child that writes. It does not count on the signal, which the
// kernel does not queue where RLIMIT_SIGPENDING is exhausted. As long as there is room for the
// lines, the child waits for a processor and not for a reader, and gets more time.
func (l *life) awaitWriter() {
	patience := longPatience
	if l.impatient {
		patience = shortPatience
	}
	const step = 10 * time.Millisecond
	until := now() + patience
	for extensions := 0; ; {
		if reaper.Gone(l.writer) {
			l.writer, l.impatient = 0, false
			return
		}
		left := until - now()
		if left <= 0 {
			if extensions++; extensions > mostExtensions || !writable(2) {
				break
			}
			until, left = now()+longPatience, step
		}
		var info siginfo
		awaitSignal(bit(written), &info, min(left, step))
	}
	kill(l.writer, unix.SIGKILL) // what it has not written is lost
	l.impatient = true
}

const mostExtensions = 10

func writeAll(fd int, text, size uintptr) {
	for size > 0 {
		n, errno := call(unix.SYS_WRITE, uintptr(fd), text, size, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return
		}
		text += n
		size -= n
	}
}

// writable reports whether there was room for a line a moment ago.
func writable(fd int) bool {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
	var t unix.Timespec
	n, errno := call5(unix.SYS_PPOLL, address(&p), 1, address(&t), 0, sigsetSize)
	return errno == 0 && n == 1 && p.Revents == unix.POLLOUT
}
