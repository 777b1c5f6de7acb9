package cgroup

import (
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// oomGroupStep sets whether the OOM killer takes the whole container or one
// process of it when the container's own limit is hit (the kernel document,
// memory.oom.group). Kubelet sets 1 since 1.28, which then ends PID 1 and every
// inner container together. The file is delegated: it can be written at a
// namespace's root even with nsdelegate (/sys/kernel/cgroup/delegate).
type oomGroupStep struct{ value string }

func (s oomGroupStep) String() string { return "echo " + s.value + " >memory.oom.group" }

func (s oomGroupStep) do(a *application) error {
	dir, err := a.container()
	if err != nil {
		return err
	}
	return a.k.writeFile(dir, oomGroupFile, s.value)
}

// try does what the delegation does not depend on.
func (a *application) try(f func() error) {
	if err := f(); err != nil {
		a.report.Warnings = append(a.report.Warnings, err)
	}
}

// container is the container's cgroup; a run that found it delegated has it in
// /sys/fs/cgroup.
func (a *application) container() (dir int, err error) {
	if a.base < 0 {
		a.base, err = a.openDir(unix.AT_FDCWD, mountPoint)
	}
	return a.base, err
}

// Limits are the effective limits of a container: the lowest of its own cgroup
// and of those above as far as they show. "" is unknown, "max" none.
type Limits struct {
	CPU      string `json:"cpu"`    // CPUs, as a decimal number
	Memory   string `json:"memory"` // bytes
	PIDs     string `json:"pids"`
	OOMGroup string `json:"memory.oom.group"` // of the container's own cgroup
}

// Limits reads them. A namespace hides what is above its root.
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

// A limit is in thousandths, so that CPUs need no floating point, whose parser is
// large. What a thousandth of 2^64 bytes exceeds is no limit: v2 has "max" for that,
// v1 a number near 2^63.
const (
	unknown   uint64 = math.MaxUint64
	unlimited uint64 = unknown - 1
)

// limit reads "max", a number, or cpu.max's "QUOTA PERIOD" as their ratio.
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
