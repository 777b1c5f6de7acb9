//go:build (amd64 || arm64) && !cgshim_portable

package shim

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inherit is the state that entry recorded.
func inherit() inheritance {
	if entered == 0 {
		return inheritFromRuntime()
	}
	in := inheritance{nofile: &inheritedNofile}
	for fd, flags := range inheritedStdio {
		in.closed[fd] = flags < 0
	}
	in.mask.Val[0] = inheritedMask
	const sigIgn = 1
	for sig := range in.actions {
		in.actions[sig] = actionDefault
		if inheritedActions[sig].handler == sigIgn {
			in.actions[sig] = actionIgnore
		}
	}
	return in
}

// Environ is the environment as execve(2) handed it over. os.Environ leaves out the
// empty strings and all but the first of a name (syscall/env_unix.go).
func Environ() []string {
	if entered == 0 {
		return os.Environ()
	}
	// argc, the arguments, a null pointer, the environment, a null pointer: System V
	// ABI, "Initial Stack and Register State".
	const word = unsafe.Sizeof(uintptr(0))
	argc := *(*int)(inheritedStack)
	var env []string
	for p := unsafe.Add(inheritedStack, uintptr(argc+2)*word); *(**byte)(p) != nil; p = unsafe.Add(p, word) {
		start := (**byte)(p)
		// The strings follow one another (fs/binfmt_elf.c, create_elf_tables): what is
		// before one is the end of another, unless entry has moved the pointer.
		if before := (*byte)(unsafe.Add(unsafe.Pointer(*start), -1)); *before != 0 {
			*start = before
		}
		env = append(env, unix.BytePtrToString(*start))
	}
	return env
}
