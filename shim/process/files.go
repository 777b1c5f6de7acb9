package process

import (
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This package reads files by bare system calls. os.File would set up the runtime's
// poller, an epoll instance that PID 1 would keep for nothing. It would also need the
// scheduler.

// MostRead is about the number of bytes that ReadFile reads of a longer file. Only
// programs are longer, and the caller needs only their first part.
const MostRead = 1 << 20

// ReadFile returns the content of a file, up to about MostRead bytes.
func ReadFile(name string) ([]byte, error) {
	fd, err := open(name, 0)
	if err != nil {
		return nil, err
	}
	defer closeFile(fd)
	data := make([]byte, 0, 4096)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, errno := read(fd, data[len(data):cap(data)])
		if errno != 0 {
			return data, errno
		}
		if n == 0 || len(data) > MostRead {
			return data, nil
		}
		data = data[:len(data)+n]
	}
}

// Entries returns the names in dir, unsorted. It returns the names that it has read if
// reading fails.
func Entries(dir string) (names []string) {
	eachEntry(dir, func(_ int, name []byte) bool {
		names = append(names, string(name))
		return true
	})
	return names
}

// EachProcess calls fn for the PID of each process in /proc until fn returns false. It
// allocates nothing.
func EachProcess(fn func(pid int) bool) {
	eachNumber("/proc", func(_, pid int) bool { return fn(pid) })
}

// Parent returns the parent of a process. It returns 0 if the process has ended, or if
// its parent is outside of the PID namespace. In /proc/PID/stat the command ends at the
// last parenthesis, and the state and the parent follow (proc(5)). Parent allocates
// nothing.
func Parent(pid int) (parent int) {
	var name [32]byte
	path := append(strconv.AppendInt(append(name[:0], "/proc/"...), int64(pid), 10), "/stat\x00"...)
	fd, errno := openat(path, 0)
	if errno != 0 {
		return 0
	}
	var data [512]byte
	n, _ := read(fd, data[:])
	closeFile(fd)
	end := n - 1
	for end >= 0 && data[end] != ')' {
		end--
	}
	for i := end + len(") S "); end >= 0 && i < n && data[i] >= '0' && data[i] <= '9'; i++ {
		parent = parent*10 + int(data[i]-'0')
	}
	return parent
}

// eachNumber calls fn for each name in dir that is a number, until fn returns false. own
// is the descriptor of dir. eachNumber reports whether dir could be read.
func eachNumber(dir string, fn func(own, n int) bool) bool {
	return eachEntry(dir, func(own int, name []byte) bool {
		n := 0
		for _, digit := range name {
			if digit < '0' || digit > '9' {
				return true
			}
			n = n*10 + int(digit-'0')
		}
		return fn(own, n)
	})
}

// dirents is the buffer for reading directories. Only one goroutine reads them.
var dirents [4096]byte

// eachEntry calls fn for each name in dir, until fn returns false (getdents(2)). own is
// the descriptor of dir. eachEntry reports whether dir could be read.
func eachEntry(dir string, fn func(own int, name []byte) bool) bool {
	fd, err := open(dir, unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer closeFile(fd)
	for {
		n, errno := result(sys(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&dirents)), unsafe.Sizeof(dirents), 0, 0, 0))
		if errno != 0 || n == 0 {
			return errno == 0
		}
		for at := 0; at < n; {
			entry := (*unix.Dirent)(unsafe.Pointer(&dirents[at]))
			name := unsafe.Slice((*byte)(unsafe.Pointer(&entry.Name)), len(entry.Name))
			end := 0
			for end < len(name) && name[end] != 0 {
				end++
			}
			at += int(entry.Reclen)
			if name := name[:end]; string(name) != "." && string(name) != ".." && !fn(fd, name) {
				return true
			}
		}
	}
}

// open opens a file for reading.
func open(name string, flags int) (fd int, err error) {
	var path [256]byte
	if len(name) >= len(path) {
		return -1, unix.ENAMETOOLONG
	}
	copy(path[:], name)
	fd, errno := openat(path[:len(name)+1], flags)
	if errno != 0 {
		return -1, errno
	}
	return fd, nil
}

// openat opens a file by its path, which ends in NUL.
func openat(path []byte, flags int) (fd int, errno syscall.Errno) {
	const cwd = ^uintptr(99) // AT_FDCWD, -100
	return result(sys(unix.SYS_OPENAT, cwd, uintptr(unsafe.Pointer(unsafe.SliceData(path))), uintptr(flags|unix.O_RDONLY|unix.O_CLOEXEC), 0, 0, 0))
}

func read(fd int, p []byte) (n int, errno syscall.Errno) {
	for {
		n, errno = result(sys(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), 0, 0, 0))
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

func closeFile(fd int) { sys(unix.SYS_CLOSE, uintptr(fd), 0, 0, 0, 0, 0) }
