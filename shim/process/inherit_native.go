//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inherit is the state that enter recorded.
func inherit() (in inheritance) {
	if !entered {
		return inheritFromRuntime()
	}
	for i, saved := range inheritedLimits {
		in.limits = append(in.limits, savedLimit{limits[i].resource, saved.soft, saved.hard})
	}
	for fd, open := range inheritedStdio {
		in.closed[fd] = !open
	}
	in.mask.Val[0] = uint64(inheritedMask)
	const sigIgn = 1
	for sig := range in.actions {
		in.actions[sig] = actionDefault
		if inheritedActions[sig].handler == sigIgn {
			in.actions[sig] = actionIgnore
		}
	}
	return in
}

// dropOwn takes the scheduler's request to yield out of the queue of this thread: it
// would reach the program that this process becomes. A SIGURG that another process sent
// goes back into the queue.
func (in *inheritance) dropOwn() {
	var info siginfo
	var none unix.Timespec
	urg := bit(unix.SIGURG)
	for range 2 { // one for the thread, one for the process
		if errnoOf(sys(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&urg)), uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&none)), 8, 0, 0)) != 0 {
			return
		}
		if info.code != siTkill || info.pid != self {
			sys(unix.SYS_RT_SIGQUEUEINFO, uintptr(self), uintptr(unix.SIGURG), uintptr(unsafe.Pointer(&info)), 0, 0, 0)
			return
		}
	}
}

// Environ is the environment as execve(2) handed it over. os.Environ leaves out the
// empty strings and all but the first of a name (syscall/env_unix.go). The strings are
// not copied.
func Environ() (env []string) {
	if !entered {
		return os.Environ()
	}
	const word = unsafe.Sizeof(uintptr(0))
	for p := inheritedEnv; *(**byte)(p) != nil; p = unsafe.Add(p, word) {
		start := *(**byte)(p)
		// The strings follow one another (fs/binfmt_elf.c, create_elf_tables): what is
		// before one is the end of another, unless enter has moved the pointer.
		if before := (*byte)(unsafe.Add(unsafe.Pointer(start), -1)); *before != 0 {
			start = before
		}
		length := 0
		for *(*byte)(unsafe.Add(unsafe.Pointer(start), length)) != 0 {
			length++
		}
		env = append(env, unsafe.String(start, length))
	}
	return env
}

// isOriginal reports whether s is a string that the kernel has put on the stack, where a
// zero byte follows it. The strings are above the pointers to them, at the end of the
// stack.
func isOriginal(s string) bool {
	data := unsafe.Pointer(unsafe.StringData(s))
	return entered && uintptr(data) > uintptr(inheritedEnv) && *(*byte)(unsafe.Add(data, len(s))) == 0
}
