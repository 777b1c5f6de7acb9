package cgroup

import (
	"golang.org/x/sys/unix"
)

// Handle is the container's cgroup as PID 1 asks it about its end. It is made before
// the program starts; from then on its methods allocate nothing and need nothing of
// Go's runtime. They keep no descriptor open, and are for one thread at a time.
type Handle struct {
	events  []byte // path of memory.events, nil where that is not known
	buffer  [8192]byte
	entries [8192]byte
	name    [300]byte
}

// NewHandle prepares the questions. With delegated /sys/fs/cgroup is the container's
// cgroup; otherwise the own one is what can be asked.
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

// OOMKills is how many processes the OOM killer has ended so far in the container,
// inner containers included, or in the own cgroup where the container is not
// delegated: oom_kill of memory.events, which counts for the whole subtree (the
// kernel document, "Memory Interface Files"). ok is false where that cannot be read.
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

// nextLine cuts the first line off, without its newline. It is nil after the last.
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

// Names of what KillOthers opens.
var (
	mountPointName = terminated(mountPoint)
	membershipName = terminated("/proc/self/cgroup")
)

const killFile = "/cgroup.kill\x00"

// KillOthers ends every process of the inner containers: cgroup.kill (Linux 5.14)
// of each child of the container's cgroup but the leaf, which this process is in. It
// returns the first errno that is about one of them, EOPNOTSUPP where this process is
// in no leaf of a namespace's root, and 0 for success.
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

// leaf is the name of the leaf that this process is in.
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

// nextEntry cuts the first directory off the answer of getdents64(2): its name, and
// what follows. Files are passed over. The name is nil after the last.
func nextEntry(p []byte) (name, rest []byte) {
	// struct linux_dirent64: inode and offset, 8 bytes each, the length of the entry
	// in two, the type, the name, which ends in NUL.
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
