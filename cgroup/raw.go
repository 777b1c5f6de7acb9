package cgroup

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// PID 1 makes the calls of this file while its program runs. Go's runtime may then have
// no memory for a goroutine and no thread to run it on, because the container's limits
// hold for PID 1 too. So these functions make raw system calls, which the runtime does
// not see. They allocate nothing. Their callers provide buffers, and names that end in
// NUL.

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

// rawOpenDir opens a directory for use with openat(2).
func rawOpenDir(dir int, name *byte) (fd int, errno unix.Errno) {
	return rawOpen(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW)
}

func rawClose(fd int) { syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// rawRead reads once.
func rawRead(fd int, p []byte) (n int, errno unix.Errno) { return rawTransfer(unix.SYS_READ, fd, p) }

// rawTransfer calls read(2), write(2) or getdents64(2).
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

// rawReadFile reads the file into p, as far as the content fits.
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

// rawWriteFile writes p in one call, as kernel.writeFile does. It adds flags to the
// flags of open(2).
func rawWriteFile(dir int, name *byte, p []byte, flags int) unix.Errno {
	fd, errno := rawOpen(dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|flags)
	if errno != 0 {
		return errno
	}
	_, errno = rawTransfer(unix.SYS_WRITE, fd, p)
	rawClose(fd)
	return errno
}

// rawInode returns the inode of an open file. It uses statx(2), because struct statx
// has the same layout on every architecture.
func rawInode(fd int, s *unix.Statx_t) (inode uint64, errno unix.Errno) {
	var empty byte
	_, _, errno = syscall.RawSyscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&empty)),
		unix.AT_EMPTY_PATH, unix.STATX_INO, uintptr(unsafe.Pointer(s)), 0)
	return s.Ino, errno
}

// nativeUint16 decodes the first two bytes of p in the machine's byte order.
func nativeUint16(p []byte) uint16 { return *(*uint16)(unsafe.Pointer(&p[:2][0])) }

// terminated returns s with a NUL at its end, as the kernel takes strings.
func terminated(s string) []byte { return append([]byte(s), 0) }

// trimmed drops the newline at the end of a file that the kernel wrote.
func trimmed(p []byte) []byte {
	for len(p) > 0 && p[len(p)-1] == '\n' {
		p = p[:len(p)-1]
	}
	return p
}

// firstNumber parses the digits at the beginning of p.
func firstNumber(p []byte) (n uint64, ok bool) {
	for _, c := range p {
		if c < '0' || c > '9' {
			break
		}
		n, ok = n*10+uint64(c-'0'), true
	}
	return n, ok
}
