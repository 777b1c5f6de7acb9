package shim

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program is an execve(2) that can be made without allocating: what a forked
// child may do is very little.
type program struct {
	paths      []*byte // tried in order, as execvp does
	argv, envv []*byte
	shell      []*byte // argv of /bin/sh for a file without a magic number; [1] is set to the path
	listenPID  []byte  // where the value of the LISTEN_PID= entry of envv goes, or nil
	inherited  *inheritance
	group      bool // start a process group of its own
	terminal   int  // descriptor of the terminal to put that group in the foreground of, or -1

	// Set by the child.
	viaShell bool // the kernel did not know the file's format: /bin/sh was given it
	errno    syscall.Errno
	teller
}

var shellPath = []byte("/bin/sh\x00")

// newProgram prepares args to run with environment env.
func newProgram(args, env []string, in *inheritance) (*program, error) {
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return nil, os.NewSyscallError("execve", err)
	}
	p := &program{argv: argv, inherited: in, terminal: -1}
	for _, path := range searchPath(args[0], env) {
		ptr, err := syscall.BytePtrFromString(path)
		if err != nil {
			return nil, os.NewSyscallError("execve", err)
		}
		p.paths = append(p.paths, ptr)
	}
	p.shell = append([]*byte{&shellPath[0], nil}, argv[1:]...)
	if p.envv, err = syscall.SlicePtrFromStrings(env); err != nil {
		return nil, os.NewSyscallError("execve", err)
	}
	return p, nil
}

// spawn starts p as a child and returns its PID. Unlike os/exec and
// syscall.ForkExec it restores every signal disposition, and it leaves the waiting
// to the reaper. The error is the errno of the execve.
func (p *program) spawn() (pid int, err error) {
	// No handler may run in the child before it has restored the dispositions.
	var all, old unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &all, &old)
	pid, errno := p.fork()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	switch {
	case errno != 0:
		return 0, os.NewSyscallError("clone", errno)
	case p.errno != 0:
		return pid, p.errno
	}
	return pid, nil
}

// child runs in the forked child and does not return. The rest of the process is
// not there: no allocation, no stack growth, no lock, no scheduler.
//
//go:nosplit
//go:norace
func (p *program) child() {
	pid, _, _ := syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0)
	if p.group {
		syscall.RawSyscall(unix.SYS_SETPGID, 0, 0, 0)
	}
	if p.terminal >= 0 {
		// SIGTTOU is blocked, so a background group may do this (tcsetpgrp(3)).
		// A terminal that has gone meanwhile is no reason not to start.
		group := int32(pid)
		syscall.RawSyscall(unix.SYS_IOCTL, uintptr(p.terminal), unix.TIOCSPGRP, uintptr(unsafe.Pointer(&group)))
	}
	if p.listenPID != nil {
		p.writePID(pid)
	}
	p.errno = p.exec()
	p.tell()
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}

// writePID puts pid, decimal and NUL-terminated, into listenPID.
//
//go:nosplit
//go:norace
func (p *program) writePID(pid uintptr) {
	end := 0
	for rest := pid; rest > 0; rest /= 10 {
		end++
	}
	p.listenPID[end] = 0
	for ; end > 0; pid /= 10 {
		end--
		p.listenPID[end] = '0' + byte(pid%10)
	}
}

// exec restores what was inherited and becomes the program. It returns only if
// no path could be executed, with the errno that execvp(3) would report.
//
//go:nosplit
//go:norace
func (p *program) exec() syscall.Errno {
	in := p.inherited
	for sig := 1; sig < numSignals; sig++ {
		if in.actions[sig] != nil {
			syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(in.actions[sig])), 0, sigsetSize, 0, 0)
		}
	}
	for fd := range in.closed {
		if in.closed[fd] {
			syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
		}
	}
	if in.nofile != nil {
		syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(in.nofile)), 0, 0, 0)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&in.mask)), 0, sigsetSize, 0, 0)

	var denied bool
	errno := unix.ENOENT
	for _, path := range p.paths {
		errno = execve(path, p.argv, p.envv)
		if errno == unix.ENOEXEC {
			p.viaShell = true
			p.tell()
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
	_, _, errno := syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])))
	return errno
}
