package pid1

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/internal/sys"
)

const wordSize = unsafe.Sizeof(uintptr(0))

// address returns the address of a variable, for a system call.
func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// at returns the variable at an address that the kernel or this package has made. The
// conversion hides the pointer from the collector, which has no business with it.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// call makes a system call with up to four arguments.
func call(number, a, b, c, d uintptr) (uintptr, syscall.Errno) {
	r := sys.Call(number, a, b, c, d, 0, 0)
	return r, sys.Errno(r)
}

// swapMask sets the signal mask and returns the old mask.
func swapMask(set Set) Set {
	to, old := set.mask(), mask{}
	call(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, address(&to), address(&old), sigsetSize)
	return old.set()
}

// kill calls kill(2). It returns 0 on success.
func kill(pid int, sig Signal) syscall.Errno {
	_, errno := call(unix.SYS_KILL, uintptr(pid), uintptr(sig), 0, 0)
	return errno
}

// fork makes a child that is a copy of this process. The child sends this signal when it
// ends (clone(2)). On s390x the first two arguments are swapped.
func fork(signal Signal) (pid int, errno syscall.Errno) {
	flags, stack := uintptr(signal), uintptr(0)
	if runtime.GOARCH == "s390x" {
		flags, stack = stack, flags
	}
	r, errno := call(unix.SYS_CLONE, flags, stack, 0, 0)
	return int(r), errno
}

// dieWithParent makes the kernel kill this child when its parent ends. At the end of a PID 1
// it does that anyway (pid_namespaces(7)).
func (l *life) dieWithParent() {
	if !l.pid1 {
		call(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0)
	}
}

func exit(status int) {
	for {
		call(unix.SYS_EXIT_GROUP, uintptr(status), 0, 0, 0)
	}
}

func getpid() int {
	pid, _ := call(unix.SYS_GETPID, 0, 0, 0, 0)
	return int(pid)
}

// now returns the time of a clock that no process can set (CLOCK_MONOTONIC,
// clock_gettime(2)).
func now() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

func clock(id uintptr) time.Duration {
	var t unix.Timespec
	call(unix.SYS_CLOCK_GETTIME, id, address(&t), 0, 0)
	return time.Duration(t.Sec)*time.Second + time.Duration(t.Nsec)
}

// forever makes a wait end only with an event.
const forever = time.Duration(1<<63 - 1)

// timespec converts a time below a second for a system call.
func timespec(d time.Duration) (t unix.Timespec) {
	set(&t.Nsec, max(0, min(d, time.Second-1)))
	return t
}

// set converts n to the type of a field, which differs between ports.
func set[T, N ~int32 | ~int64](field *T, n N) { *field = T(n) }

func sleep(d time.Duration) {
	t := timespec(d)
	call(unix.SYS_NANOSLEEP, address(&t), 0, 0, 0)
}

// awaitSignal takes a signal of the set from the queue (sigwaitinfo(2)). It fails with
// EAGAIN if none has come in time, and with EINTR when a freeze has ended.
func awaitSignal(set Set, info *siginfo, limit time.Duration) (Signal, syscall.Errno) {
	var t unix.Timespec
	wanted, timeout := set.mask(), uintptr(0)
	if limit != forever {
		t = timespec(limit)
		timeout = address(&t)
	}
	r, errno := call(unix.SYS_RT_SIGTIMEDWAIT, address(&wanted), address(info), timeout, sigsetSize)
	return Signal(r), errno
}

// pending returns the set of pending signals.
func pending() Set {
	var m mask
	call(unix.SYS_RT_SIGPENDING, address(&m), sigsetSize, 0, 0)
	return m.set()
}

// foregroundGroup returns the foreground process group of the terminal fd (tcgetpgrp(3)).
func foregroundGroup(fd int) (group int, errno syscall.Errno) {
	var g int32
	_, errno = call(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPGRP, address(&g), 0)
	return int(g), errno
}

// setForegroundGroup makes group the foreground process group of the terminal fd. It works
// from the background too, because SIGTTOU is blocked (tcsetpgrp(3)).
func setForegroundGroup(fd, group int) {
	g := int32(group)
	call(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSPGRP, address(&g), 0)
}

// mapShared maps memory that this process shares with its children.
func mapShared(size uintptr) (memory uintptr, errno syscall.Errno) {
	return mmap(size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
}

// mmap maps anonymous memory. On s390x the arguments are in memory (mmap(2), NOTES). On 386
// and arm only mmap2 takes them in registers.
func mmap(size, protection, flags uintptr) (memory uintptr, errno syscall.Errno) {
	arguments := [6]uintptr{0, size, protection, flags, ^uintptr(0), 0}
	if runtime.GOARCH == "s390x" {
		return call(sysMmap, address(&arguments), 0, 0, 0)
	}
	r := sys.Call(sysMmap, 0, size, protection, flags, ^uintptr(0), 0)
	return r, sys.Errno(r)
}

// call5 makes a system call with five arguments.
func call5(number, a, b, c, d, e uintptr) (uintptr, syscall.Errno) {
	r := sys.Call(number, a, b, c, d, e, 0)
	return r, sys.Errno(r)
}

// openat opens a file for reading by its path, a C string.
func openat(path, flags uintptr) (fd int, errno syscall.Errno) {
	const cwd = ^uintptr(99) // AT_FDCWD, -100
	r, errno := call(unix.SYS_OPENAT, cwd, path, flags, 0)
	return int(r), errno
}

func closeFile(fd int) { call(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0) }

// names are C strings for system calls. They are variables and not constants, so that they
// lie in a page that PID 1 can make its own (pin.go).
var names = struct {
	dot, root    [2]byte
	shell        [8]byte
	devTTY       [9]byte
	defaultPath  [14]byte
	ownNamespace [21]byte
	end          byte
}{
	dot:          [2]byte{'.'},
	root:         [2]byte{'/'},
	shell:        [8]byte{'/', 'b', 'i', 'n', '/', 's', 'h'},
	devTTY:       [9]byte{'/', 'd', 'e', 'v', '/', 't', 't', 'y'},
	defaultPath:  [14]byte{'/', 'b', 'i', 'n', ':', '/', 'u', 's', 'r', '/', 'b', 'i', 'n'},
	ownNamespace: [21]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 'n', 's', '/', 'c', 'g', 'r', 'o', 'u', 'p'},
}
