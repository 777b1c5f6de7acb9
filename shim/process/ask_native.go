//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ask returns what answer returns. A file system may hang for ever while answer reads a
// file. So a child runs answer, and this process waits at most for limit, or until
// hurry reports true. Then, or if there can be no child, Ask returns nothing. The answer is
// valid until the next call.
//
// The child is a copy of this process (fork(2)). It has all of Go's runtime that this
// process has, because after Alone a process has one thread. So answer may be ordinary
// Go code. As long as the other threads are there, a child would lack them, and Ask
// calls answer itself.
func Ask(answer func() string, limit time.Duration, hurry func() bool) []byte {
	if !alone {
		return []byte(answer())
	}
	var pipe [2]int32
	if errnoOf(sys(unix.SYS_PIPE2, uintptr(unsafe.Pointer(&pipe)), unix.O_CLOEXEC, 0, 0, 0, 0)) != 0 {
		return nil
	}
	length := 0
	pid, errno := fork(uintptr(unix.SIGCHLD))
	if pid == 0 {
		reply(int(pipe[1]), answer)
	}
	closeFile(int(pipe[1]))
	if errno == 0 {
		length = listen(int(pipe[0]), Now()+limit, hurry)
		end(pid)
	}
	closeFile(int(pipe[0]))
	return replied[:length]
}

// replied is the buffer for a reply. Ask cuts a longer one.
var replied [16 << 10]byte

// reply writes the answer to the pipe and ends the child. If answer fails (SIGBUS), the
// runtime of the child says so on standard error, where only this process's lines
// belong.
func reply(pipe int, answer func() string) {
	closeFile(2)
	write(pipe, []byte(answer()))
	exit()
}

// fork makes a child that is a copy of this process and ends with it. The child sends this
// signal when it ends (clone(2)).
func fork(signal uintptr) (pid int, errno syscall.Errno) {
	if pid, errno = result(sys(unix.SYS_CLONE, signal, 0, 0, 0, 0, 0)); pid == 0 {
		sys(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	}
	return pid, errno
}

// exit ends a child that fork has made.
func exit() {
	for {
		sys(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
	}
}

// listen reads a reply and returns its length. It returns 0 if the end of the reply does
// not come in time.
func listen(pipe int, deadline time.Duration, hurry func() bool) (length int) {
	for length < len(replied) {
		ready := unix.PollFd{Fd: int32(pipe), Events: unix.POLLIN}
		tick := unix.NsecToTimespec(int64(10 * time.Millisecond))
		if count, _ := ppoll(&ready, &tick); count == 1 {
			n, errno := read(pipe, replied[length:])
			if errno != 0 || n == 0 {
				return length
			}
			length += n
			continue
		}
		if Now() >= deadline || hurry() {
			return 0
		}
	}
	return length
}

// end kills the child and reaps it. A child that waits for a file system may not end even
// by SIGKILL. It is left to the kernel then.
func end(pid int) (gone bool) {
	Kill(pid, unix.SIGKILL)
	for try := range 10 {
		if reaped(pid) {
			return true
		}
		pause(time.Duration(try) * time.Millisecond)
	}
	return false
}

// reaped reaps the child if it has ended, and reports whether it is gone. Without __WALL it
// would not find a child that sends no SIGCHLD (wait(2)).
func reaped(pid int) bool {
	n, _ := result(sys(unix.SYS_WAIT4, uintptr(pid), 0, unix.WNOHANG|unix.WALL, 0, 0, 0))
	return n != 0
}
