package shim

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mostRead is the number of bytes that readFile reads of a longer file. Only programs are
// longer, and the caller needs only their first part.
const mostRead = 1 << 20

// readFile returns the content of a file, up to mostRead bytes. It does not wait for the
// other end of a FIFO. os.File would make an epoll instance, which takes longer than the rest.
func readFile(name string) (string, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 4096)
	for len(data) < mostRead {
		data = slices.Grow(data, 4096)
		n, err := unix.Read(fd, data[len(data):cap(data)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return string(data), err
		case n == 0:
			return string(data), nil
		default:
			data = data[:len(data)+n]
		}
	}
	return string(data), nil
}

// entries returns the names in a directory, as far as they can be read.
func entries(dir string) (names []string, err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buffer := make([]byte, 4096)
	for {
		n, err := unix.Getdents(fd, buffer)
		if err != nil || n == 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buffer[:n], -1, names)
	}
}

// eachProcess calls fn for the PID of each process in /proc.
func eachProcess(fn func(pid int)) {
	names, _ := entries("/proc")
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			fn(pid)
		}
	}
}

// process is a part of /proc/PID/stat.
type process struct {
	name                   string
	parent, group, session int
}

// look returns what /proc says about a process. It returns zeros if the process has ended.
// The command stands in parentheses and may have parentheses itself. The state, the parent,
// the process group and the session follow (proc_pid_stat(5)).
func look(pid int) (p process) {
	text, _ := readFile("/proc/" + strconv.Itoa(pid) + "/stat")
	start, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if start < 0 || end < start {
		return p
	}
	p.name = text[start+1 : end]
	fields := strings.Fields(text[end+1:])
	for i, field := range []*int{&p.parent, &p.group, &p.session} {
		if i+1 < len(fields) {
			*field, _ = strconv.Atoi(fields[i+1])
		}
	}
	return p
}

// procIsOurs reports whether /proc shows the PID namespace of this process, so that numbers
// mean the same there (pid_namespaces(7), "/proc and PID namespaces").
func procIsOurs() bool {
	link, err := os.Readlink("/proc/self")
	return err == nil && link == strconv.Itoa(os.Getpid())
}
