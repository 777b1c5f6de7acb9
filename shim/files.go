package shim

import (
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mostRead is the number of bytes that readFile reads of a longer file. Only programs are
// longer, and the caller needs only their first part.
const mostRead = 1 << 20

// readFile returns the content of a file, up to mostRead bytes. It does not wait for the
// other end of a FIFO.
func readFile(name string) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostRead))
	return string(data), err
}

// eachProcess calls fn for the PID of each process in /proc.
func eachProcess(fn func(pid int)) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
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
