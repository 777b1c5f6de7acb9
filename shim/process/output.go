package process

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience is the longest time that a write to standard error may take. It is short
// after a write that has waited in vain.
var patience = longPatience

const (
	longPatience  = 100 * time.Millisecond
	shortPatience = time.Millisecond
)

// WriteError writes p to standard error. If the reader has stopped reading, WriteError
// waits for patience and gives up, and the rest of p is lost. It raises no signal that
// ends this process or reaches the program.
//
// WriteError cannot set O_NONBLOCK, because the program shares the flag. The program
// writes to the same pipe or terminal. So a descriptor that poll(2) calls writable may be
// full again when this process writes to it, and the write would block. A timer
// interrupts the write. The timer fires repeatedly, because the first time may come
// before the write begins.
func WriteError(p []byte) (written int, errno syscall.Errno) {
	if !writable(2) {
		patience = shortPatience
		return 0, unix.EAGAIN
	}
	setAlarm(patience)
	for written < len(p) && errno == 0 {
		// If poll(2) calls a pipe writable, it has room for this number of bytes
		// (pipe(7), PIPE_BUF).
		const pipeBuf = 4096
		var n int
		n, errno = writeUntilAlarm(p[written:min(len(p), written+pipeBuf)])
		written += max(n, 0)
		if written < len(p) && errno == 0 && !writable(2) {
			errno = unix.EAGAIN
		}
	}
	setAlarm(0)
	patience = longPatience
	if errno == unix.EINTR || errno == unix.EAGAIN {
		patience = shortPatience
	}
	return written, errno
}

func write(fd int, p []byte) (written int, errno syscall.Errno) {
	return result(sys(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0))
}

// writable reports whether fd has a reader and becomes writable within patience.
func writable(fd int32) bool {
	ready := unix.PollFd{Fd: fd, Events: unix.POLLOUT}
	limit := unix.NsecToTimespec(int64(patience))
	for {
		_, errno := ppoll(&ready, &limit)
		if errno != unix.EINTR {
			return ready.Revents == unix.POLLOUT
		}
	}
}

// WriteOutput writes p to standard output.
func WriteOutput(p []byte) (written int, errno syscall.Errno) {
	for written < len(p) && errno == 0 {
		var n int
		n, errno = write(1, p[written:])
		written += max(n, 0)
		if errno == unix.EINTR {
			errno = 0
		}
	}
	return written, errno
}
