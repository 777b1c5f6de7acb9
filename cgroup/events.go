package cgroup

import (
	"golang.org/x/sys/unix"
)

// Handle lets PID 1 count the OOM kills in the container when the program ends, and end
// the inner containers. Make a Handle before the program starts. From then on its
// methods allocate nothing and need nothing of Go's runtime. They keep no descriptor
// open. Only one thread may use a Handle at a time.
type Handle struct {
	events  []byte // path of memory.events, or nil
	buffer  [8192]byte
	entries [8192]byte
	name    [300]byte
}

// NewHandle prepares a Handle. If delegated is true, /sys/fs/cgroup is the container's
// cgroup. Otherwise the Handle can ask only about this process's own cgroup.
func NewHandle(delegated bool) *Handle {
	h := &Handle{events: terminated(mountPoint + "/memory.events")}
	if !delegated {
		member, err := linux.readFile(unix.AT_FDCWD, "/proc/self/cgroup")
		own := parseMembership(member).unified
		if err != nil || own == "" {
			h.events = nil
		} else {
			h.events = terminated(mountPoint + own + "/memory.events")
		}
	}
	return h
}

// OOMKills returns the number of processes that the OOM killer has ended so far in the
// container and its inner containers. Without a delegation it counts the processes of
// the own cgroup. The number is oom_kill of memory.events, which includes the whole
// subtree (the kernel document, "Memory Interface Files"). ok is false if the file
// cannot be read.
func (h *Handle) OOMKills() (n uint64, ok bool) {
	if h.events == nil {
		return 0, false
	}
	size, _ := rawReadFile(unix.AT_FDCWD, &h.events[0], h.buffer[:])
	const key = "oom_kill "
	for line, rest := nextLine(h.buffer[:size]); line != nil; line, rest = nextLine(rest) {
		if len(line) > len(key) && string(line[:len(key)]) == key {
			return firstNumber(line[len(key):])
		}
	}
	return 0, false
}

// nextLine splits p into the first line, without its newline, and the rest. line is nil
// after the last line.
func nextLine(p []byte) (line, rest []byte) {
	if len(p) == 0 {
		return nil, nil
	}
	for i, c := range p {
		if c == '\n' {
			return p[:i:i], p[i+1:]
		}
	}
	return p, nil
}

// KillOthers opens these files.
var (
	mountPointName = terminated(mountPoint)
	membershipName = terminated("/proc/self/cgroup")
)

const killFile = "/cgroup.kill\x00"

// KillOthers ends every process of the inner containers. It writes cgroup.kill (Linux
// 5.14) of each cgroup below the container's cgroup, except the leaf with this process.
// It returns the first errno, or 0. If this process is not in a leaf directly below the
// root of its cgroup namespace, KillOthers returns EOPNOTSUPP.
func (h *Handle) KillOthers() unix.Errno {
	own, errno := h.leaf()
	if errno != 0 {
		return errno
	}
	dir, errno := rawOpen(unix.AT_FDCWD, &mountPointName[0], unix.O_RDONLY|unix.O_DIRECTORY)
	if errno != 0 {
		return errno
	}
	first := unix.Errno(0)
	for {
		n, errno := rawTransfer(unix.SYS_GETDENTS64, dir, h.entries[:])
		if errno != 0 && first == 0 {
			first = errno
		}
		if errno != 0 || n == 0 {
			break
		}
		for name, rest := nextEntry(h.entries[:n]); name != nil; name, rest = nextEntry(rest) {
			if string(name) == string(own) || len(name)+len(killFile) > len(h.name) {
				continue
			}
			copy(h.name[copy(h.name[:], name):], killFile)
			if errno := rawWriteFile(dir, &h.name[0], one, 0); errno != 0 && first == 0 {
				first = errno
			}
		}
	}
	rawClose(dir)
	return first
}

var one = []byte("1")

// leaf returns the name of the leaf that this process is in.
func (h *Handle) leaf() (name []byte, errno unix.Errno) {
	size, errno := rawReadFile(unix.AT_FDCWD, &membershipName[0], h.buffer[:])
	if errno != 0 {
		return nil, errno
	}
	const unified = "0::/"
	for line, rest := nextLine(h.buffer[:size]); line != nil; line, rest = nextLine(rest) {
		if len(line) > len(unified) && string(line[:len(unified)]) == unified {
			name = line[len(unified):]
		}
	}
	for _, c := range name {
		if c == '/' {
			name = nil
			break
		}
	}
	if name == nil || string(name) == ".." {
		return nil, unix.EOPNOTSUPP
	}
	return name, 0
}

// nextEntry splits the first directory off a buffer of getdents64(2). It returns the
// name of the directory and the rest of the buffer, and skips files. name is nil after
// the last directory.
func nextEntry(p []byte) (name, rest []byte) {
	// struct linux_dirent64 begins with the inode and the offset, 8 bytes each. The
	// length of the entry has 2 bytes, and the type has 1. Then comes the name, which
	// ends in NUL.
	const length, kind, text = 16, 18, 19
	for len(p) > text {
		size := int(nativeUint16(p[length:]))
		if size <= text || size > len(p) {
			return nil, nil
		}
		entry := p[text:size]
		directory := p[kind] == unix.DT_DIR
		p = p[size:]
		for i, c := range entry {
			if c == 0 {
				entry = entry[:i]
				break
			}
		}
		if directory && string(entry) != "." && string(entry) != ".." {
			return entry, p
		}
	}
	return nil, nil
}
