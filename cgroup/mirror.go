package cgroup

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Mirror says which limits of the container are copied into its leaf.
type Mirror int

const (
	MirrorLimits  Mirror = iota // all limits and memory.oom.group
	MirrorNothing               // no limits
)

// files returns the names of the files to copy, in order. memory.high comes before
// memory.max. If both are lowered, the limit that only throttles takes effect first.
func (m Mirror) files() []string {
	if m == MirrorLimits {
		return []string{"cpu.max", "cpu.max.burst", "memory.high", "memory.max", "memory.swap.max", "pids.max", oomGroupFile}
	}
	return nil
}

const oomGroupFile = "memory.oom.group"

// mirrorStep copies the container's limits into the leaf. Some programs read only the
// limits of their own cgroup. The JVM and Node size their heap by these limits, and Go
// sets GOMAXPROCS (golang/go#81180). The container's limits hold for the leaf's
// processes anyway, so the copies do not restrict them further.
//
// memory.oom.group is copied too. If the leaf reaches its own limit, the kernel
// considers only the cgroups from the chosen process up to the leaf (mm/memcontrol.c,
// mem_cgroup_get_oom_group). Without the copy, the kernel would kill one process,
// although the container's memory.oom.group asks for the whole container.
type mirrorStep struct {
	leaf string
	what Mirror
}

func (s mirrorStep) String() string {
	return "copy " + strings.Join(s.what.files(), ", ") + " of the container's cgroup to the leaf " + s.leaf
}

func (s mirrorStep) do(a *application) error {
	dir, err := a.container()
	if err != nil {
		return err
	}
	m := newMirror(s.what, s.leaf)
	m.copy(dir)
	for i := range m.files {
		if err := m.files[i].failure(s.leaf); err != nil {
			a.report.Warnings = append(a.report.Warnings, err)
		}
	}
	return nil
}

// mirror copies limits and remembers the values that it has copied. Its methods
// allocate nothing (see raw.go).
type mirror struct {
	leaf  []byte // name of the leaf below the container's cgroup
	files []limitFile
	value [64]byte
	own   [64]byte // the leaf's value
}

// limitFile is one limit file and the last value that the container had in it.
type limitFile struct {
	name     []byte
	reclaims bool // a write of this limit reclaims memory
	value    [64]byte
	size     int
	copied   bool   // the leaf has this value
	op       string // the call that failed in the last copy
	errno    unix.Errno
}

func newMirror(what Mirror, leaf string) *mirror {
	m := &mirror{leaf: terminated(leaf)}
	for _, name := range what.files() {
		reclaims := name == "memory.high" || name == "memory.max"
		m.files = append(m.files, limitFile{name: terminated(name), reclaims: reclaims})
	}
	return m
}

// copy copies the limits that changed into the leaf. base is the directory of the
// container's cgroup.
func (m *mirror) copy(base int) {
	leaf, errno := rawOpenDir(base, &m.leaf[0])
	if errno != 0 {
		return
	}
	// The kernel refuses a quota in cpu.max below the burst, and a burst in
	// cpu.max.burst above the quota (kernel/sched/core.c, tg_set_cfs_bandwidth). If
	// both change, copy cannot know which file has to be written first. So it tries
	// every file a second time.
	for range 2 {
		failed := false
		for i := range m.files {
			failed = !m.copyFile(base, leaf, &m.files[i]) || failed
		}
		if !failed {
			break
		}
	}
	rawClose(leaf)
}

var memoryCurrent = terminated("memory.current")

// copyFile copies one limit. It reports false if a second try may help. It skips a limit
// that did not change in the container, because another program may have given the leaf
// a lower limit meanwhile.
func (m *mirror) copyFile(base, leaf int, f *limitFile) bool {
	f.errno = 0
	n, errno := rawReadFile(base, &f.name[0], m.value[:])
	value := trimmed(m.value[:n])
	if errno != 0 || n == len(m.value) || len(value) == 0 {
		// With ENOENT, this container lacks the controller, and so does its leaf.
		return f.settle("read", errno)
	}
	if f.copied && string(value) == string(f.value[:f.size]) {
		return true
	}
	f.size, f.copied = copy(f.value[:], value), false
	n, errno = rawReadFile(leaf, &f.name[0], m.own[:])
	if errno != 0 {
		return f.settle("read", errno)
	}
	if own := trimmed(m.own[:n]); string(own) != string(value) {
		if f.reclaims && exceeded(leaf, value) {
			return false
		}
		// Since Linux 6.16 a write with O_NONBLOCK sets the limit without reclaiming
		// memory. Processes that allocate reclaim it later (the kernel document,
		// memory.high and memory.max).
		errno = rawWriteFile(leaf, &f.name[0], value, unix.O_NONBLOCK)
		if errno != 0 {
			return f.settle("write", errno)
		}
	}
	f.copied = true
	return true
}

// settle stores a failure, unless a later copy would fail in the same way. That is so if
// the file does not exist, or if this process may not write to the leaf. settle returns
// the result of copyFile.
func (f *limitFile) settle(op string, errno unix.Errno) bool {
	switch errno {
	case 0, unix.ENOENT, unix.EACCES, unix.EPERM, unix.EROFS:
		return true
	}
	f.op, f.errno = op, errno
	return false
}

// failure returns the error of the last copy, or nil.
func (f *limitFile) failure(leaf string) error {
	if f.errno == 0 {
		return nil
	}
	return &Error{f.op, leaf + "/" + string(f.name[:len(f.name)-1]), string(f.value[:f.size]), f.errno}
}

// exceeded reports whether the leaf uses more memory than limit. Such a limit is not
// copied, because the writer would have to reclaim memory. With memory.max, the kernel
// would also kill processes of the leaf until the rest fits (mm/memcontrol.c,
// memory_max_write). The container's own limit is in force anyway, and the copy is for
// information only.
func exceeded(leaf int, limit []byte) bool {
	most, limited := firstNumber(limit)
	if !limited {
		return false // "max"
	}
	var buffer [24]byte
	n, errno := rawReadFile(leaf, &memoryCurrent[0], buffer[:])
	used, ok := firstNumber(buffer[:n])
	return errno == 0 && ok && used > most
}
