package pid1

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/reaper"
)

// The entry point uses these in place of what the runtime would have made.
var (
	//lint:ignore U1000 used by entry_*.s
	tls [128]byte
	//lint:ignore U1000 used by entry_*.s
	g0 [64]uint64

	native bool // entry has run, so this process or its parent is a PID 1 without the runtime
)

// self is the state of PID 1.
var self life

// life is the state of PID 1 while it lives. It has no Go pointer but orders and host, which
// PID 1 never stores.
type life struct {
	orders *Orders
	host   Source // nil in the native build

	pid1         bool
	child        int // the program, or 0
	started      time.Duration
	exit         reaper.Exit
	ended        bool // the program has ended, or this process has to exit before it
	abandoned    bool // the program may not be killed, and exit is how the kernel will end it
	early        bool // children are reaped before their SIGCHLD is handled
	orphans      bool // this process still has children
	due          bool // children may have ended that are not reaped
	toldExec     bool
	ignored      Set  // by a helper that becomes the program
	ignoredChild bool // SIGCHLD was ignored at the start
	reaped       int  // in this pass

	sent     Set // forwarded signals
	stopping countdown
	settling countdown // until the pages are copied
	settles  int       // number of tries to copy them
	failures int       // of the runtime to start in a helper
	pageSize uintptr
	sum      byte          // of the bytes that loadPages has read
	copying  countdown     // until the limits are copied again
	pause    time.Duration // before that next copy
	clock    stopwatch
	info     siginfo // of the last signal

	terminal  terminal
	events    [4096]byte // of inotify
	helper    helper
	dismissed int     // a helper with whose end nothing has to be done, or 0
	room      uintptr // free space on the stack for newVector
	oldNS     int     // descriptor of the cgroup namespace before the set-up, or -1

	page      page
	writer    int // the child that writes a log line, or 0
	impatient bool
}

// core is the life of PID 1 in the native build. It does not return.
//
//lint:ignore U1000 called from assembly
func core(vector, room uintptr) {
	native, self.room = true, room
	inherited := swapMask(^Set(0)) // first, because a signal may end a process that is not PID 1
	l := &self
	if !l.makeOrders(vector, inherited) {
		l.cannotStart("cgshim: cannot start: no memory to share with a helper: raise the memory limit\n")
	}
	l.childSignal()
	l.mayWait()
	if !l.bare() {
		l.prepare()
	}
	if l.orders.Pause {
		l.goOnInPlace()
	}
	l.live()
}

// makeOrders maps the orders. Their size depends on the arguments and the environment,
// because a helper makes other arrays of pointers to these.
func (l *life) makeOrders(vector uintptr, inherited Set) bool {
	words := *at[uintptr](vector) + 16
	for p := environment(vector); *at[uintptr](p) != 0; p += wordSize {
		words++
	}
	memory, errno := mapShared(ordersSize + words*wordSize)
	if errno != 0 {
		return false
	}
	setOrders(memory)
	o := l.orders
	o.vector, o.inherited, o.words = vector, inherited, memory+ordersSize
	l.about()
	return true
}

// about fills in what is known about this process.
func (l *life) about() {
	o := l.orders
	o.PID = getpid()
	if o.PID != 1 { // PID 1 has no parent that it can see
		parent, _ := call(unix.SYS_GETPPID, 0, 0, 0, 0)
		o.Parent = int(parent)
	}
	o.Notify, o.OldNamespace = -1, -1
	l.pid1, l.oldNS, l.terminal.fd = o.PID == 1, -1, -1
}

// setOrders stores the pointer to the orders without a write barrier, which a process
// without the runtime cannot have.
func setOrders(memory uintptr) { *(*uintptr)(unsafe.Pointer(&self.orders)) = memory }

// environment returns the address of the array of variables, which follows argc and the
// arguments.
func environment(vector uintptr) uintptr { return vector + (*at[uintptr](vector)+2)*wordSize }

// childSignal sets the action of SIGCHLD to the default. If a process ignores SIGCHLD, the
// kernel reaps its children and drops their status (wait(2), NOTES). A process inherits that
// by execve(2). The program gets the signal as this process got it.
func (l *life) childSignal() {
	var none, old action
	call(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), address(&none), address(&old), sigsetSize)
	l.ignoredChild = old[0] == sigIgnore
}

// action is a struct sigaction of rt_sigaction(2). A struct of zeros means SIG_DFL on every
// port. The handler comes first on every port but MIPS, which has no entry file.
type action [8]uint64

const sigIgnore = 1 // SIG_IGN

// mayWait ends this process if a sandbox refuses one of the system calls without which
// no signal and no end of a child reaches it. The container would hang.
func (l *life) mayWait() {
	if errno := reaper.Refused(); errno != 0 {
		l.cannotStart("cgshim: cannot be an init: a sandbox refuses the system call wait4: allow wait4 in the seccomp profile\n")
	}
	var mask Set
	if _, errno := call(unix.SYS_RT_SIGPROCMASK, unix.SIG_BLOCK, 0, address(&mask), sigsetSize); errno != 0 {
		l.cannotStart("cgshim: cannot be an init: a sandbox refuses the system call rt_sigprocmask: allow rt_sigprocmask in the seccomp profile\n")
	}
	if _, errno := awaitSignal(0, &l.info, 0); errno != unix.EAGAIN && errno != unix.EINTR {
		l.cannotStart("cgshim: cannot be an init: a sandbox refuses the system call rt_sigtimedwait: allow rt_sigtimedwait in the seccomp profile\n")
	}
}

// cannotStart ends this process with a message. Nobody else writes to standard error yet. So
// the message does not need the child of flush, for which this process may be unable to wait.
func (l *life) cannotStart(message string) {
	l.page.word(message)
	if writable(2) {
		writeAll(2, address(&l.page.text), uintptr(l.page.n))
	} else {
		l.flush()
	}
	exit(1)
}
