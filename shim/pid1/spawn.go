package pid1

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// start starts the program and returns at once. The execve may take any time, because a file
// system may hang. end.go finds out how it ended.
//
// Before the child runs, this process moves to the root directory. So it does not pin the
// mount of the directory that it was started in.
func (l *life) start() {
	dir := leaveDirectory()
	pid, errno := fork(unix.SIGCHLD)
	for try := 0; errno == unix.EAGAIN && try < 20; try++ { // the kernel still counts a helper for a short time
		sleep(time.Duration(try) * time.Millisecond)
		pid, errno = fork(unix.SIGCHLD)
	}
	if pid == 0 && errno == 0 {
		if dir >= 0 {
			call(unix.SYS_FCHDIR, uintptr(dir), 0, 0, 0)
		}
		l.become()
	}
	if dir >= 0 {
		closeFile(dir)
	} else {
		chdirRoot()
	}
	if errno != 0 {
		l.say(LineNoStart, &values{errno: errno})
		l.flush()
		exit(1)
	}
	l.child = pid
	// The child does the same, but this process may have to forward a signal to the group
	// before the child has done so.
	call(unix.SYS_SETPGID, uintptr(pid), 0, 0, 0)
}

// leaveDirectory moves this process to the root directory if the child can go back. It tests
// that first, because a process may be in a directory that it may not enter.
func leaveDirectory() (dir int) {
	fd, errno := openat(address(&names.dot), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1
	}
	_, errno = call(unix.SYS_FCHDIR, uintptr(fd), 0, 0, 0)
	if errno != 0 || chdirRoot() != 0 {
		closeFile(fd)
		return -1
	}
	return fd
}

func chdirRoot() syscall.Errno {
	_, errno := call(unix.SYS_CHDIR, address(&names.root), 0, 0, 0)
	return errno
}

// become is the child from its fork to its execve. It has the state that PID 1 got, because
// PID 1 has changed no more than the signal mask and the action of SIGCHLD.
func (l *life) become() {
	pid := getpid()
	call(unix.SYS_SETPGID, 0, 0, 0, 0)
	if fd := l.terminal.descriptor(); fd >= 0 {
		setForegroundGroup(fd, pid)
	}
	l.nameChild(pid)
	l.awaitRelease()
	l.orders.Outcome.ExecErrno = uint32(l.execute())
	exit(127)
}

// awaitRelease keeps the child from executing the program before the line about it is
// written, if there is one. The program may write to the same place.
func (l *life) awaitRelease() {
	const step = 50 * time.Microsecond
	for waited := time.Duration(0); l.shows(LineSpawned) && l.orders.released == 0 && waited < longPatience; waited += step {
		sleep(step)
	}
}

func (l *life) release() {
	l.flush()
	l.orders.released = 1
}

// nameChild makes socket activation work through an init. sd_listen_fds(3) in the program
// uses the descriptors only if LISTEN_PID is the program's PID and LISTEN_PIDFDID is the
// inode of its pidfd.
func (l *life) nameChild(pid int) {
	o := l.orders
	if o.setPID {
		decimal(&o.listenPID, len(listenPID), uint64(pid))
	}
	if !o.setID {
		return
	}
	fd, errno := call(unix.SYS_PIDFD_OPEN, uintptr(pid), 0, 0, 0) // the kernel sets the close-on-exec flag
	if errno != 0 {
		return
	}
	var stat unix.Statx_t
	var empty byte
	if _, errno := call5(unix.SYS_STATX, fd, address(&empty), unix.AT_EMPTY_PATH, unix.STATX_INO, address(&stat)); errno == 0 {
		decimal(&o.listenID, len(listenID), stat.Ino)
	}
}

// execute becomes the program. If no path can be executed, it returns the errno that
// execvp(3) would report.
func (l *life) execute() syscall.Errno {
	o := l.orders
	if l.ignoredChild {
		var ignore action
		ignore[0] = sigIgnore
		call(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), address(&ignore), 0, sigsetSize)
	}
	if l.host != nil {
		dropHandlers()
	}
	swapMask(o.inherited)
	name := *at[uintptr](o.argv)
	errno := l.search(name)
	swapMask(^Set(0))
	return errno
}

// search tries each file that execvp(3) would try. If PATH is not set, glibc takes
// /bin:/usr/bin. It skips an element that is too long.
func (l *life) search(name uintptr) syscall.Errno {
	length := uintptr(0)
	for ; *at[byte](name + length) != 0; length++ {
		if *at[byte](name + length) == '/' {
			return l.execve(name)
		}
	}
	if length == 0 {
		return unix.ENOENT
	}
	path := l.orders.path
	if path == 0 {
		path = address(&names.defaultPath)
	}
	denied, errno := false, unix.ENOENT
	for {
		end := path
		for *at[byte](end) != 0 && *at[byte](end) != ':' {
			end++
		}
		if candidate := &self.page.text; join(candidate, path, end, name, length) {
			errno = l.execve(address(candidate))
		}
		switch errno {
		case unix.EACCES:
			denied = true
		case unix.ENOENT, unix.ENOTDIR, unix.ESTALE, unix.ENODEV, unix.ETIMEDOUT:
		default:
			return errno
		}
		if *at[byte](end) == 0 {
			break
		}
		path = end + 1
	}
	if denied {
		return unix.EACCES
	}
	return errno
}

// join makes a path of an element of PATH and a name, and reports whether the path fits.
// The page is free, because the lines in it belong to the parent.
func join(to *[4096]byte, from, end, name, length uintptr) bool {
	if end-from+length+2 > uintptr(len(to)) || end-from >= unix.PathMax {
		return false
	}
	n := 0
	for ; from < end; from++ {
		to[n&4095] = *at[byte](from)
		n++
	}
	if n > 0 { // an empty element is the working directory
		to[n&4095] = '/'
		n++
	}
	for i := uintptr(0); i <= length; i++ { // with the NUL
		to[n&4095] = *at[byte](name + i)
		n++
	}
	return true
}

// execve calls execve(2). As execvp(3) does, it has /bin/sh read a file whose format the
// kernel does not know. The word before the arguments is free for the name of the shell.
func (l *life) execve(path uintptr) syscall.Errno {
	o := l.orders
	_, errno := call(unix.SYS_EXECVE, path, o.argv, o.envp, 0)
	if errno != unix.ENOEXEC {
		return errno
	}
	o.Outcome.ViaShell = 1
	before, name := o.argv-wordSize, *at[uintptr](o.argv)
	*at[uintptr](before), *at[uintptr](o.argv) = address(&names.shell), path
	_, errno = call(unix.SYS_EXECVE, address(&names.shell), before, o.envp, 0)
	*at[uintptr](o.argv) = name
	return errno
}

// The variables of socket activation, as far as their values.
const (
	listenPID = "LISTEN_PID="
	listenID  = "LISTEN_PIDFDID="
)

// decimal writes n as decimal digits and a NUL into to, from this place on.
func decimal(to *[64]byte, from int, n uint64) {
	var reverse [32]byte
	i := 0
	for n > 0 || i == 0 {
		n, reverse[i&31] = lastDigit(n)
		i++
	}
	to[(from+i)&63] = 0
	for ; i > 0; from++ {
		i--
		to[from&63] = reverse[i&31]
	}
}

// lastDigit returns a tenth of n and the last digit. It divides 32 bits at a time, because a
// division of 64 bits needs the runtime on ports that have 32.
func lastDigit(n uint64) (tenth uint64, digit byte) {
	rest := uint32(0)
	for shift := 48; shift >= 0; shift -= 16 {
		part := rest<<16 | uint32(n>>uint(shift)&0xffff)
		tenth |= uint64(part/10) << uint(shift)
		rest = part % 10
	}
	return tenth, '0' + byte(rest)
}
