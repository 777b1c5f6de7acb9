package cgroup

import (
	"strings"

	"golang.org/x/sys/unix"
)

// Mirror says which limits of the container its leaf gets too.
type Mirror int

const (
	MirrorLimits  Mirror = iota // all of them, and memory.oom.group
	MirrorCPUMax                // the CPU quota alone
	MirrorNothing               // the leaf stays without limits of its own
)

// files are the ones to copy, in this order. memory.high comes before memory.max: of
// two limits that are lowered the one that only throttles holds first.
func (m Mirror) files() []string {
	switch m {
	case MirrorLimits:
		return []string{"cpu.max", "cpu.max.burst", "memory.high", "memory.max", "memory.swap.max", "pids.max", oomGroupFile}
	case MirrorCPUMax:
		return []string{"cpu.max", "cpu.max.burst"}
	}
	return nil
}

const oomGroupFile = "memory.oom.group"

// mirrorStep copies the container's limits into the leaf, for programs that read only
// their own cgroup: the JVM sizes its heap from there, Node too, and Go GOMAXPROCS
// (golang/go#81180). The leaf's processes count in the container as well, so the same
// limit does not restrict them more.
//
// memory.oom.group comes with them. When the leaf's limit is hit, the kernel looks at
// the groups from the chosen process up to the leaf alone (mm/memcontrol.c,
// mem_cgroup_get_oom_group): without a copy it would no longer kill the whole
// container where that is asked for.
type mirrorStep struct {
	leaf string
	what Mirror
}

func (s mirrorStep) String() string {
	return "for f in " + strings.Join(s.what.files(), " ") + "; do [ ! -e " + s.leaf + "/$f ] || cat $f >" + s.leaf + "/$f; done"
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

// mirror copies limits and knows what it has copied. Its methods allocate nothing: see
// raw.go.
type mirror struct {
	leaf  []byte // name of the leaf below the container's cgroup
	files []limitFile
	value [64]byte
	own   [64]byte // the leaf's
}

// limitFile is a limit and the last value of the container's.
type limitFile struct {
	name     []byte
	reclaims bool // a write waits for memory to be reclaimed
	value    [64]byte
	size     int
	copied   bool   // the leaf has got it
	op       string // of a copy that failed
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

// copy brings the leaf up to date with the container's cgroup, whose directory is base.
func (m *mirror) copy(base int) {
	leaf, errno := rawOpenDir(base, &m.leaf[0])
	if errno != 0 {
		return
	}
	// cpu.max refuses a quota below the burst, and cpu.max.burst one above the quota
	// (kernel/sched/core.c, tg_set_cfs_bandwidth): of a change of both the order is not
	// known. The second time around one has made way for the other.
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

// copyFile reports whether there is nothing left to copy. A limit that is the same as
// before is left: the leaf may have been given a lower one of its own meanwhile.
func (m *mirror) copyFile(base, leaf int, f *limitFile) bool {
	f.errno = 0
	n, errno := rawReadFile(base, &f.name[0], m.value[:])
	value := trimmed(m.value[:n])
	if errno != 0 || n == len(m.value) || len(value) == 0 {
		// ENOENT: the container has no such controller. So has the leaf.
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
		// Since Linux 6.16 a write with O_NONBLOCK sets the limit and leaves reclaim to
		// those who allocate (the kernel document, memory.high and memory.max).
		errno = rawWriteFile(leaf, &f.name[0], value, unix.O_NONBLOCK)
		if errno != 0 {
			return f.settle("write", errno)
		}
	}
	f.copied = true
	return true
}

// settle notes a failure. It reports whether that is for good: the file is not there,
// or the leaf is not ours to write.
func (f *limitFile) settle(op string, errno unix.Errno) bool {
	switch errno {
	case 0, unix.ENOENT, unix.EACCES, unix.EPERM, unix.EROFS:
		return true
	}
	f.op, f.errno = op, errno
	return false
}

// failure is what the last copy failed with, or nil.
func (f *limitFile) failure(leaf string) error {
	if f.errno == 0 {
		return nil
	}
	return &Error{f.op, leaf + "/" + string(f.name[:len(f.name)-1]), string(f.value[:f.size]), f.errno}
}

// exceeded reports whether the leaf uses more memory than limit allows. Writing such a
// limit makes the writer reclaim memory and, with memory.max, kill processes until the
// rest fits (mm/memcontrol.c, memory_max_write). The container's own limit sees to that
// already; a copy of it only informs.
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
