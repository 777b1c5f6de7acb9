package cgroup

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file are for PID 1 while its program runs. Then Go's runtime may
// have no memory for a goroutine and no thread to run one on: the container's limits
// hold for PID 1 too. So they are raw system calls, which the runtime does not hear of.
// They allocate nothing, take buffers of the caller's and names that end in NUL.

func rawOpen(dir int, name *byte, flags int) (fd int, errno unix.Errno) {
	for {
		r, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(name)), uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
		switch errno {
		case 0:
			return int(r), 0
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

// rawOpenDir opens a directory to find files in.
func rawOpenDir(dir int, name *byte) (fd int, errno unix.Errno) {
	return rawOpen(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
}

func rawClose(fd int) { syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// rawRead reads once.
func rawRead(fd int, p []byte) (n int, errno unix.Errno) { return rawTransfer(unix.SYS_READ, fd, p) }

// rawTransfer is read(2), write(2) or getdents64(2).
func rawTransfer(call uintptr, fd int, p []byte) (n int, errno unix.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	for {
		r, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(r), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// rawReadFile fills p with the file's content, or with as much of it as fits.
func rawReadFile(dir int, name *byte, p []byte) (n int, errno unix.Errno) {
	fd, errno := rawOpen(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW)
	if errno != 0 {
		return 0, errno
	}
	for n < len(p) {
		got, failed := rawRead(fd, p[n:])
		if errno = failed; errno != 0 || got == 0 {
			break
		}
		n += got
	}
	rawClose(fd)
	return n, errno
}

// rawWriteFile writes p in one call, as a whole: see kernel.writeFile. flags are added
// to the file's.
func rawWriteFile(dir int, name *byte, p []byte, flags int) unix.Errno {
	fd, errno := rawOpen(dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|flags)
	if errno != 0 {
		return errno
	}
	_, errno = rawTransfer(unix.SYS_WRITE, fd, p)
	rawClose(fd)
	return errno
}

// rawInode is the inode of an open file. statx(2) has one layout on all ports.
func rawInode(fd int, s *unix.Statx_t) (inode uint64, errno unix.Errno) {
	var empty byte
	_, _, errno = syscall.RawSyscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&empty)),
		unix.AT_EMPTY_PATH, unix.STATX_INO, uintptr(unsafe.Pointer(s)), 0)
	return s.Ino, errno
}

// nativeUint16 is the number that p begins with, in the machine's order.
func nativeUint16(p []byte) uint16 { return *(*uint16)(unsafe.Pointer(&p[:2][0])) }

// terminated is s as the kernel takes it.
func terminated(s string) []byte { return append([]byte(s), 0) }

// trimmed drops the newline that the kernel ends a file with.
func trimmed(p []byte) []byte {
	for len(p) > 0 && p[len(p)-1] == '\n' {
		p = p[:len(p)-1]
	}
	return p
}

// firstNumber reads the digits that p begins with.
func firstNumber(p []byte) (n uint64, ok bool) {
	for _, c := range p {
		if c < '0' || c > '9' {
			break
		}
		n, ok = n*10+uint64(c-'0'), true
	}
	return n, ok
}
