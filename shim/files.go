package shim

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// Files are read with bare system calls: os.File would set up the runtime's
// poller, an epoll instance that PID 1 then keeps for nothing.

// readFile is the content of a file, or the first megabyte of it: nothing that is
// read here is longer, but for programs, of which the head is enough.
func readFile(name string) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 4096)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := unix.Read(fd, data[len(data):cap(data)])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || len(data) > 1<<20 {
			return data, err
		}
		data = data[:len(data)+n]
	}
}

// entriesOf lists dir, unsorted, as far as it can be read.
func entriesOf(dir string) (names []string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n == 0 {
			return names
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// numbersIn lists the entries of dir that are numbers, unsorted.
func numbersIn(dir string) (numbers []int) {
	for _, name := range entriesOf(dir) {
		if n, err := strconv.Atoi(name); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
