package pid1

import (
	"golang.org/x/sys/unix"
)

// What a new helper does for the runtime, before it goes on into it. All of it concerns the
// helper alone.

// A start has to fit into these limits. The runtime reserves address space for a heap of any
// size, and a delegation needs some descriptors. test/init measured the least values.
var limits = [...]struct {
	resource      uintptr
	enough, least uint64
	message       string
}{
	{unix.RLIMIT_NOFILE, 64, 0, ""},
	{unix.RLIMIT_AS, 1 << 30, 760 << 20, "cgshim: cannot start: the limit of address space (RLIMIT_AS, ulimit -v) is below 760 MB: raise it\n"},
	{unix.RLIMIT_DATA, 128 << 20, 64 << 20, "cgshim: cannot start: the limit of data (RLIMIT_DATA, ulimit -d) is below 64 MB: raise it\n"},
}

// limit is a struct rlimit64 (prlimit(2)).
type limit struct{ soft, hard uint64 }

// raiseLimits raises the limits that a Go program exceeds earlier than a C program. A helper
// that will be the program itself keeps its limits.
func (l *life) raiseLimits() {
	if l.orders.Inside {
		return
	}
	for i := range limits {
		row, now := &limits[i], limit{}
		if _, errno := call(unix.SYS_PRLIMIT64, 0, row.resource, 0, address(&now)); errno != 0 || now.soft >= row.enough {
			continue
		}
		soft := setLimit(row.resource, limit{min(now.hard, row.enough), now.hard}, now.soft)
		if soft < row.enough { // needs CAP_SYS_RESOURCE (prlimit(2))
			soft = setLimit(row.resource, limit{row.enough, max(now.hard, row.enough)}, soft)
		}
		if soft < row.least {
			l.cannotStart(row.message)
		}
	}
}

// setLimit tries to set a limit and returns the soft limit afterwards.
func setLimit(resource uintptr, to limit, before uint64) uint64 {
	if _, errno := call(unix.SYS_PRLIMIT64, 0, resource, address(&to), 0); errno != 0 {
		return before
	}
	return to.soft
}

// openStandard opens the standard descriptors that are closed. In their place the runtime
// would open /dev/null, or end the process if that fails. The new descriptors can be neither
// read nor written (open(2), O_PATH).
func openStandard(o *Orders) {
	for fd := range 3 {
		if _, errno := call(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFD, 0, 0); errno != 0 {
			o.closed |= 1 << uint(fd)
			openat(address(&names.root), unix.O_PATH) // takes the lowest free number, which is fd
		}
	}
}

// mute makes a start that fails say nothing, because PID 1 says in one line what to change.
// The runtime would print a trace. The helper takes its standard error back (Helper).
func mute(o *Orders) {
	o.stderr = -1
	if o.closed>>2&1 == 1 {
		return
	}
	saved, errno := call(unix.SYS_FCNTL, 2, unix.F_DUPFD_CLOEXEC, 3, 0)
	if errno != 0 {
		return
	}
	if fd, errno := openat(address(&names.root), unix.O_PATH|unix.O_CLOEXEC); errno == 0 {
		o.stderr = int32(saved)
		call(unix.SYS_DUP3, uintptr(fd), 2, 0, 0)
		closeFile(fd)
	}
}

// otherNamespace finds out whether the children of PID 1 are in another PID namespace than
// PID 1 itself, as with `unshare --pid` without --fork (pid_namespaces(7)). The parent then
// has no PID there. If this helper is PID 1 of the new namespace, its end would be the end of
// the namespace. So it becomes the program.
func (l *life) otherNamespace() {
	o := l.orders
	parent, _ := call(unix.SYS_GETPPID, 0, 0, 0, 0)
	o.Elsewhere = parent == 0
	if o.Inside = o.Elsewhere && getpid() == 1; o.Inside {
		l.recordActions()
	}
	o.placed = 1
}
