package cgroup

import (
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// oomGroupStep writes memory.oom.group. The file decides whether the OOM killer kills
// one process or the whole container at the container's own limit (the kernel document,
// memory.oom.group). kubelet writes 1 since 1.28. Then the OOM killer ends PID 1 and
// every inner container together. The file is delegated, so a process in the cgroup
// namespace may write it at the root of the namespace, even with nsdelegate
// (/sys/kernel/cgroup/delegate).
type oomGroupStep struct{ value string }

func (s oomGroupStep) String() string {
	return "write " + s.value + " to memory.oom.group of the container's cgroup"
}

func (s oomGroupStep) do(a *application) error {
	dir, err := a.container()
	if err != nil {
		return err
	}
	return a.k.writeFile(dir, oomGroupFile, s.value)
}

// try runs f and stores its error as a warning, because the delegation does not depend
// on f.
func (a *application) try(f func() error) {
	if err := f(); err != nil {
		a.report.Warnings = append(a.report.Warnings, err)
	}
}

// container returns the directory of the container's cgroup. If no earlier step has
// opened the directory, the cgroup was delegated before and is mounted at /sys/fs/cgroup.
func (a *application) container() (dir int, err error) {
	if a.base < 0 {
		a.base, err = a.openDir(unix.AT_FDCWD, mountPoint)
	}
	return a.base, err
}

// Limits are the effective limits of a container. Each is the lowest value of its own
// cgroup and of the visible cgroups above. "" is unknown, and "max" is no limit.
type Limits struct {
	CPU      string `json:"cpu"`    // CPUs, as a decimal number
	Memory   string `json:"memory"` // bytes
	PIDs     string `json:"pids"`
	OOMGroup string `json:"memory.oom.group"` // of the container's own cgroup alone
}

// Limits reads the limits of g. A cgroup namespace hides the cgroups above its root.
func (g *Group) Limits() Limits {
	var l Limits
	if g == nil {
		return l
	}
	cpu, memory, pids := unknown, unknown, unknown
	for dir := g.Path; strings.HasPrefix(dir, mountPoint); dir = dir[:strings.LastIndexByte(dir, '/')] {
		read := func(lowest *uint64, name string) {
			if value, err := linux.readFile(unix.AT_FDCWD, dir+"/"+name); err == nil {
				*lowest = min(*lowest, limit(value))
			}
		}
		read(&cpu, "cpu.max")
		read(&memory, "memory.max")
		read(&pids, "pids.max")
	}
	group, _ := linux.readFile(unix.AT_FDCWD, g.Path+"/memory.oom.group")
	l.OOMGroup = strings.TrimSpace(group)
	l.CPU, l.Memory, l.PIDs = decimal(cpu), decimal(memory), decimal(pids)
	return l
}

// A limit is counted in thousandths. So CPUs need no floating point, whose parser would
// make the binary larger. A value whose thousandths exceed 64 bits is no limit. cgroup
// v2 writes "max" for no limit, and v1 writes a number near 2^63.
const (
	unknown   uint64 = math.MaxUint64
	unlimited uint64 = unknown - 1
)

// limit parses "max", a number, or "QUOTA PERIOD" of cpu.max. For "QUOTA PERIOD" it
// returns the ratio.
func limit(s string) uint64 {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return unlimited
	}
	n, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil || n > unlimited/1000 {
		return unlimited
	}
	n *= 1000
	if len(fields) == 2 {
		if period, err := strconv.ParseUint(fields[1], 10, 64); err == nil && period > 0 {
			n /= period
		}
	}
	return n
}

func decimal(n uint64) string {
	switch n {
	case unknown:
		return ""
	case unlimited:
		return "max"
	}
	s := strconv.FormatUint(n/1000, 10)
	if rest := n % 1000; rest > 0 {
		s += "." + strings.TrimRight(strconv.FormatUint(1000+rest, 10)[1:], "0")
	}
	return s
}
