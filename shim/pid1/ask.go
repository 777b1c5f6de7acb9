package pid1

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file is for helpers, which are ordinary Go programs.

// Native reports whether this process is a helper of a PID 1 without the runtime.
func Native() bool { return native }

// Helper returns the orders and the role of this helper. Call it once, at the start.
func Helper() (*Orders, Role) {
	o := self.orders
	if o.stderr >= 0 {
		_ = unix.Dup3(int(o.stderr), 2, 0)
		_ = unix.Close(int(o.stderr))
	}
	// A seccomp filter with SECCOMP_RET_TRAP raises SIGSYS, for which the runtime would print a
	// trace. Without its handler the signal ends the helper, and PID 1 says so.
	var none action
	call(unix.SYS_RT_SIGACTION, uintptr(unix.SIGSYS), address(&none), 0, sigsetSize)
	o.begun = 1
	return o, o.role
}

// Hurry reports whether a stop signal has come, so that the program shall start soon.
func (o *Orders) Hurry() bool { return atomic.LoadUint32(&o.hurry) == 1 }

// Ask has PID 1 make a system call, for what belongs to that process and not to this one.
// The kernel stops this process as a whole before this thread can go on, because the thread
// sends itself the signal. PID 1 sees the stop by wait4(2) and continues this process.
// Strings have to be in the memory that both share (CString).
func (o *Orders) Ask(number uintptr, arguments ...uintptr) (uintptr, syscall.Errno) {
	o.number, o.arguments = number, [6]uintptr{}
	copy(o.arguments[:], arguments)
	for atomic.AddUint32(&o.asked, 1); atomic.LoadUint32(&o.answered) != atomic.LoadUint32(&o.asked); {
		if o.Inside || unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGSTOP) != nil {
			time.Sleep(time.Millisecond) // PID 1 looks by itself
		}
	}
	if o.result > ^uintptr(4095) {
		return 0, syscall.Errno(-o.result)
	}
	return o.result, 0
}

// CString copies s to where PID 1 can read it. The memory is free again after release.
func (o *Orders) CString(s string) (address uintptr, release func()) {
	used := o.arenaUsed
	t := o.text(s)
	return uintptr(unsafe.Pointer(&o.arena[t.at])), func() { o.arenaUsed = used }
}

// Arguments returns the arguments of this process, as the kernel has handed them over.
func (o *Orders) Arguments() []string {
	if !native {
		return os.Args
	}
	n := int(*at[uintptr](o.vector))
	return cstrings(o.vector+wordSize, n)
}

// Environ returns the environment that execve(2) handed over. os.Environ omits empty strings
// and every variable after the first of the same name (syscall/env_unix.go), and in a helper
// it has the settings of the runtime.
func (o *Orders) Environ() []string {
	if !native {
		return os.Environ()
	}
	from, n := environment(o.vector), 0
	for *at[uintptr](from + uintptr(n)*wordSize) != 0 {
		n++
	}
	return cstrings(from, n)
}

// cstrings returns strings that share the memory of the C strings.
func cstrings(array uintptr, n int) []string {
	list := make([]string, n)
	for i := range list {
		p := *at[uintptr](array + uintptr(i)*wordSize)
		list[i] = unsafe.String(at[byte](p), length(p))
	}
	return list
}

func length(p uintptr) (n int) {
	for *at[byte](p + uintptr(n)) != 0 {
		n++
	}
	return n
}

// Program says what to execute. Its strings may be those of Arguments and Environ.
type Program struct {
	Args, Env []string
	Path      *string // value of PATH, or nil if it is not set
	// The entries of Env whose value is the program's own PID and pidfd (nameChild), or -1.
	ListenPID, ListenID int
}

// SetProgram fills in the program.
func (o *Orders) SetProgram(p *Program) {
	if !native {
		words := make([]uintptr, len(p.Args)+len(p.Env)+3)
		o.words = address(&words[0])
		held = append(held, words)
	}
	o.wordsUsed = 1 // the word before the arguments is for /bin/sh
	o.argv = o.array(p.Args)
	first := o.words + o.wordsUsed*wordSize
	o.envp = o.array(p.Env)
	o.setPID, o.setID = p.ListenPID >= 0, p.ListenID >= 0
	if o.setPID {
		copy(o.listenPID[:], listenPID)
		*at[uintptr](first + uintptr(p.ListenPID)*wordSize) = address(&o.listenPID)
	}
	if o.setID {
		copy(o.listenID[:], listenID)
		*at[uintptr](first + uintptr(p.ListenID)*wordSize) = address(&o.listenID)
	}
	o.path = 0
	if p.Path != nil {
		o.path = o.pointer(*p.Path)
	}
}

// array makes an array of C strings with a null pointer at its end.
func (o *Orders) array(list []string) uintptr {
	start := o.words + o.wordsUsed*wordSize
	for i, s := range list {
		*at[uintptr](start + uintptr(i)*wordSize) = o.pointer(s)
	}
	*at[uintptr](start + uintptr(len(list))*wordSize) = 0
	o.wordsUsed += uintptr(len(list)) + 1
	return start
}

// pointer returns the address of s as a C string. A string that the kernel has made stays
// where it is, and has a NUL at its end.
func (o *Orders) pointer(s string) uintptr {
	p := uintptr(unsafe.Pointer(unsafe.StringData(s)))
	if native && len(s) > 0 && p > o.vector && p < o.stringsEnd() {
		return p
	}
	if native {
		t := o.text(s)
		return address(&o.arena[t.at])
	}
	c := append([]byte(s), 0)
	held = append(held, c)
	return address(&c[0])
}

// These keep the collector of an ordinary Go program from freeing what the program gets.
var held []any

// stringsEnd returns the end of the strings of the initial stack. The kernel puts the
// variables behind the arguments (fs/binfmt_elf.c, create_elf_tables).
func (o *Orders) stringsEnd() uintptr {
	last := argument(o.vector, *at[uintptr](o.vector)-1)
	for p := environment(o.vector); *at[uintptr](p) != 0; p += wordSize {
		last = *at[uintptr](p)
	}
	return last + uintptr(length(last)) + 1
}

// Finish hands the orders over. The caller has nothing to do then but to exit. A helper that is PID 1 of a new PID namespace becomes the
// program itself, and Finish returns only if that fails.
func (o *Orders) Finish() {
	atomic.StoreUint32(&o.ready, 1)
	if o.Inside {
		self.inside()
	}
	// PID 1 need not wait for the end of this process, which takes long. The signal makes it
	// look at the orders.
	if native && o.early() {
		_ = unix.Kill(o.PID, unix.SIGCHLD)
	}
}
