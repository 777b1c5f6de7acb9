package process

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Program is a prepared execve(2). All memory is allocated before, because a child
// that shares or copies the memory of this process cannot allocate.
type Program struct {
	// With Group the child starts a process group of its own. If Terminal is not
	// negative, the child makes that group the foreground group of this terminal.
	Group    bool
	Terminal int

	paths      []*byte // files to try in order, as execvp(3) does
	argv, envv []*byte
	shell      []*byte // argv of /bin/sh for a file without a magic number; the child sets [1] to the path
	listenPID  []byte  // the place of the value of LISTEN_PID in envv, which the child writes, or nil
	listenID   []byte  // the same for LISTEN_PIDFDID
	inherited  *inheritance
	dir        int // descriptor of the working directory if this process has left it, or -1
	group      int32
	stat       unix.Statx_t
	outcome    *outcome
}

// outcome is the child's report to its parent, in memory that they share. The parent
// must not wait for the execve, because a file system may hang.
type outcome struct {
	errno    uint32 // errno of a failed execve, or 0
	viaShell uint32 // 1 if the kernel did not know the format of the file and /bin/sh got the file
}

var shellPath = []byte("/bin/sh\x00")

// NewProgram prepares to run args with the environment env and the inherited state that
// Claim has put into signals. It returns EINVAL if a string has a NUL in it.
func NewProgram(args, env []string, signals *Signals) (*Program, syscall.Errno) {
	p := &Program{inherited: &signals.inherited, Terminal: -1, dir: -1}
	var errno syscall.Errno
	if p.argv, errno = cstrings(args); errno != 0 {
		return nil, errno
	}
	for _, path := range SearchPath(args[0], env) {
		ptr, errno := cstring(path)
		if errno != 0 {
			return nil, errno
		}
		p.paths = append(p.paths, ptr)
	}
	p.shell = append([]*byte{&shellPath[0], nil}, p.argv[1:]...)
	if p.envv, errno = cstrings(env); errno != 0 {
		return nil, errno
	}
	p.outcome = sharedOutcome()
	return p, 0
}

// sharedOutcome allocates an outcome that the child shares even if the kernel gives the
// child a copy of all other memory.
func sharedOutcome() *outcome {
	memory, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return new(outcome)
	}
	return (*outcome)(unsafe.Pointer(&memory[0]))
}

func cstrings(list []string) ([]*byte, syscall.Errno) {
	pointers := make([]*byte, len(list)+1)
	for i, s := range list {
		var errno syscall.Errno
		if pointers[i], errno = cstring(s); errno != 0 {
			return nil, errno
		}
	}
	return pointers, 0
}

// cstring returns s with a NUL at its end. It does not copy a string that the kernel has
// put on the stack.
func cstring(s string) (*byte, syscall.Errno) {
	if isOriginal(s) {
		return unsafe.StringData(s), 0
	}
	p, err := syscall.BytePtrFromString(s)
	if err != nil {
		return nil, unix.EINVAL
	}
	return p, 0
}

// NameChild makes socket activation work through an init. sd_listen_fds(3) in the
// program uses the descriptors only if LISTEN_PID is the program's PID and
// LISTEN_PIDFDID is the inode of its pidfd. If the variables name this process, the child
// writes its own numbers into them, because only the child knows both.
func (p *Program) NameChild(env []string) {
	p.listenPID = p.replace(env, "LISTEN_PID", strconv.Itoa(os.Getpid()))
	p.listenID = p.replace(env, "LISTEN_PIDFDID", pidfdID())
}

// replace makes room in envv for another value of the variable key and returns the room.
// If the variable has another value, replace returns nil.
func (p *Program) replace(env []string, key, value string) []byte {
	if value == "" {
		return nil
	}
	for i, entry := range env {
		if found, ok := strings.CutPrefix(entry, key+"="); ok {
			if found != value {
				return nil
			}
			buf := []byte(key + "=01234567890123456789\x00")
			p.envv[i] = &buf[0]
			return buf[len(key)+1:] // getenv(3) uses the first entry
		}
	}
	return nil
}

// pidfdID returns the inode of a pidfd of this process, which is unique since boot
// (Linux 6.9, pidfs).
func pidfdID() string {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var s unix.Stat_t
	if unix.Fstat(fd, &s) != nil {
		return ""
	}
	return strconv.FormatUint(s.Ino, 10)
}

// Spawn starts p as a child and returns its PID at once. Unlike os/exec and
// syscall.ForkExec, Spawn restores every signal disposition, does not wait for the
// execve, and leaves waiting for the child to the reaper. When the child has ended,
// Failed says how the execve ended.
//
// Before the child runs, Spawn moves this process to the root directory. So this
// process does not pin the mount of the directory that it was started in.
func (p *Program) Spawn() (pid int, errno syscall.Errno) {
	p.leaveDirectory()
	// No handler may run in the child before it has restored the dispositions.
	old := swapMask(unix.SIG_SETMASK, ^Set(0))
	for try := 0; ; try++ {
		pid, errno = p.clone()
		// The kernel still counts a thread for a short time after Alone has ended it.
		if errno != unix.EAGAIN || try == 20 {
			break
		}
		pause(time.Duration(try) * time.Millisecond)
	}
	swapMask(unix.SIG_SETMASK, old)
	if p.dir >= 0 {
		closeFile(p.dir)
	} else {
		Chdir("/")
	}
	if errno == 0 && p.Group {
		// The child does the same, but this process may have to forward a signal to the
		// group before the child has done so.
		SetGroup(pid, 0)
	}
	return pid, errno
}

// leaveDirectory moves this process to the root directory if the child can go back. It
// tests that first, because a process may be in a directory that it may not enter.
func (p *Program) leaveDirectory() {
	fd, errno := openat(dotPath, unix.O_PATH|unix.O_DIRECTORY)
	if errno != 0 {
		return
	}
	if errnoOf(sys(unix.SYS_FCHDIR, uintptr(fd), 0, 0, 0, 0, 0)) != 0 || Chdir("/") != 0 {
		closeFile(fd)
		return
	}
	p.dir = fd
}

var dotPath = []byte(".\x00")

// Failed returns the errno of an execve that failed, or 0.
func (p *Program) Failed() syscall.Errno { return syscall.Errno(p.outcome.errno) }

// ViaShell reports whether /bin/sh got the file, because the kernel did not know its
// format.
func (p *Program) ViaShell() bool { return p.outcome.viaShell == 1 }

// Exec replaces this process by p. It returns only on failure, with the errno.
func (p *Program) Exec() syscall.Errno {
	p.inherited.dropOwn()
	return p.exec()
}

// child runs in the child and does not return. Go's runtime does not work there, so
// child may not allocate, grow the stack, lock or call the scheduler. Memory that child
// passes to the kernel is in p, because a local variable whose address is taken might
// escape to the heap.
//
//go:nosplit
//go:norace
func (p *Program) child() {
	pid := sys(unix.SYS_GETPID, 0, 0, 0, 0, 0, 0)
	if p.Group {
		sys(unix.SYS_SETPGID, 0, 0, 0, 0, 0, 0)
	}
	if p.Terminal >= 0 {
		// The call succeeds from the background too, because SIGTTOU is blocked
		// (tcsetpgrp(3)). If the terminal has gone meanwhile, the program starts all
		// the same.
		p.group = int32(pid)
		sys(unix.SYS_IOCTL, uintptr(p.Terminal), unix.TIOCSPGRP, uintptr(unsafe.Pointer(&p.group)), 0, 0, 0)
	}
	if p.listenPID != nil {
		decimal(p.listenPID, uint64(pid))
	}
	if p.listenID != nil {
		p.writeID(pid)
	}
	if p.dir >= 0 {
		sys(unix.SYS_FCHDIR, uintptr(p.dir), 0, 0, 0, 0, 0)
	}
	p.outcome.errno = uint32(p.exec())
	for {
		sys(unix.SYS_EXIT_GROUP, 127, 0, 0, 0, 0, 0)
	}
}

// writeID writes the inode of the child's own pidfd into listenID.
//
//go:nosplit
//go:norace
func (p *Program) writeID(pid uintptr) {
	fd := sys(unix.SYS_PIDFD_OPEN, pid, 0, 0, 0, 0, 0) // the kernel sets the close-on-exec flag
	if errnoOf(fd) == 0 && errnoOf(sys(unix.SYS_STATX, fd, uintptr(unsafe.Pointer(&emptyPath)), unix.AT_EMPTY_PATH, unix.STATX_INO, uintptr(unsafe.Pointer(&p.stat)), 0)) == 0 {
		decimal(p.listenID, p.stat.Ino)
	}
}

var emptyPath [1]byte

// decimal writes n into buf as decimal digits and a NUL.
//
//go:nosplit
//go:norace
func decimal(buf []byte, n uint64) {
	end := 1
	for rest := n / 10; rest > 0; rest /= 10 {
		end++
	}
	buf[end] = 0
	for ; end > 0; n /= 10 {
		end--
		buf[end] = '0' + byte(n%10)
	}
}

// exec restores the inherited state and becomes the program. If no path can be
// executed, it returns the errno that execvp(3) would report.
//
//go:nosplit
//go:norace
func (p *Program) exec() syscall.Errno {
	in := p.inherited
	for sig := 1; sig < numSignals; sig++ {
		if in.actions[sig] != nil {
			sys(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(in.actions[sig])), 0, sigsetSize, 0, 0)
		}
	}
	for fd := range in.closed {
		if in.closed[fd] {
			sys(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0)
		}
	}
	for i := range in.limits {
		sys(unix.SYS_PRLIMIT64, 0, in.limits[i].resource, uintptr(unsafe.Pointer(&in.limits[i].soft)), 0, 0, 0)
	}
	sys(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&in.mask)), 0, sigsetSize, 0, 0)

	var denied bool
	errno := unix.ENOENT
	for _, path := range p.paths {
		errno = execve(path, p.argv, p.envv)
		if errno == unix.ENOEXEC {
			p.outcome.viaShell = 1
			p.shell[1] = path
			errno = execve(&shellPath[0], p.shell, p.envv)
		}
		switch errno {
		case unix.EACCES:
			denied = true
		case unix.ENOENT, unix.ENOTDIR, unix.ESTALE, unix.ENODEV, unix.ETIMEDOUT:
		default:
			return errno
		}
	}
	if denied {
		return unix.EACCES
	}
	return errno
}

//go:nosplit
//go:norace
func execve(path *byte, argv, envv []*byte) syscall.Errno {
	return errnoOf(sys(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(unsafe.SliceData(argv))), uintptr(unsafe.Pointer(unsafe.SliceData(envv))), 0, 0, 0))
}
