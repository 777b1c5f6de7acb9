//go:build (amd64 || arm64) && !cgshim_portable && !race && !cgo

package process

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inherit returns the state that enter recorded.
func inherit() (in inheritance) {
	if !entered {
		return inheritFromRuntime()
	}
	for i, saved := range inheritedLimits {
		if limitKnown[i] {
			in.limits = append(in.limits, savedLimit{limits[i].resource, saved.soft, saved.hard})
		}
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

// dropOwn removes the scheduler's SIGURG, a request to yield, from the queue of this
// thread. Otherwise the program that this process becomes would get the signal. A SIGURG
// from another process goes back into the queue.
func (in *inheritance) dropOwn() {
	var info siginfo
	var none unix.Timespec
	urg := bit(unix.SIGURG)
	for range 2 { // the thread has a queue of its own besides the queue of the process
		if errnoOf(sys(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&urg)), uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&none)), 8, 0, 0)) != 0 {
			return
		}
		if info.code != siTkill || info.pid != self {
			sys(unix.SYS_RT_SIGQUEUEINFO, uintptr(self), uintptr(unix.SIGURG), uintptr(unsafe.Pointer(&info)), 0, 0, 0)
			return
		}
	}
}

// Environ returns the environment that execve(2) handed over. os.Environ omits empty
// strings and every variable after the first of the same name (syscall/env_unix.go).
// Environ does not copy the strings.
func Environ() (env []string) {
	if !entered {
		return os.Environ()
	}
	const word = unsafe.Sizeof(uintptr(0))
	for p := inheritedEnv; *(**byte)(p) != nil; p = unsafe.Add(p, word) {
		start := *(**byte)(p)
		// The strings follow one another in memory (fs/binfmt_elf.c,
		// create_elf_tables). So the byte before a string is the NUL at the end of the
		// previous string, unless hideVariables has moved the pointer.
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

// isOriginal reports whether the kernel has put s on the stack, where a NUL follows s.
// Such strings are at the end of the stack, above the pointers to them.
func isOriginal(s string) bool {
	data := unsafe.Pointer(unsafe.StringData(s))
	return entered && uintptr(data) > uintptr(inheritedEnv) && *(*byte)(unsafe.Add(data, len(s))) == 0
}
