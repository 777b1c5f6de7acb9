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

func (s oomGroupStep) do(r *run) error {
	r.try(func() error {
		dir, err := r.container()
		if err != nil {
			return err
		}
		return r.k.writeFile(dir, "memory.oom.group", s.value)
	})
	return nil
}

// mirrorStep copies the container's CPU quota into the leaf, for programs that
// read only their own cgroup: Go sizes GOMAXPROCS from there (golang/go#81180).
// It is a copy: a later resize of the container does not reach it.
type mirrorStep struct{ leaf string }

func (s mirrorStep) String() string { return "cat cpu.max >" + s.leaf + "/cpu.max" }

func (s mirrorStep) do(r *run) error {
	r.try(func() error {
		dir, err := r.container()
		if err != nil {
			return err
		}
		quota, err := r.k.readFile(dir, "cpu.max")
		if err != nil {
			return err
		}
		return r.k.writeFile(dir, s.leaf+"/cpu.max", strings.TrimSpace(quota))
	})
	return nil
}

// try does what the delegation does not depend on.
func (r *run) try(f func() error) {
	if err := f(); err != nil {
		r.report.Warnings = append(r.report.Warnings, err)
	}
}

// container is the container's cgroup; a run that found it delegated has it in
// /sys/fs/cgroup.
func (r *run) container() (dir int, err error) {
	if r.base < 0 {
		r.base, err = r.openDir(unix.AT_FDCWD, mountPoint)
	}
	return r.base, err
}

// Limits are the effective limits of the container: the lowest of its own cgroup
// and of those above as far as they show. "" is unknown, "max" none.
type Limits struct {
	CPU      string `json:"cpu"`    // CPUs, as a decimal number
	Memory   string `json:"memory"` // bytes
	PIDs     string `json:"pids"`
	OOMGroup string `json:"memory.oom.group"` // of the container's own cgroup
}

// Limits reads them. A namespace hides what is above its root.
func (f *Facts) Limits() Limits {
	var l Limits
	if f.Own == nil {
		return l
	}
	cpu, memory, pids := math.Inf(1), math.Inf(1), math.Inf(1)
	var known [3]bool
	for dir := f.Own.Path; strings.HasPrefix(dir, mountPoint); dir = dir[:strings.LastIndexByte(dir, '/')] {
		read := func(known *bool, lowest *float64, name string) {
			value, err := linux.readFile(unix.AT_FDCWD, dir+"/"+name)
			if err == nil {
				*known = true
				*lowest = min(*lowest, limit(value))
			}
		}
		read(&known[0], &cpu, "cpu.max")
		read(&known[1], &memory, "memory.max")
		read(&known[2], &pids, "pids.max")
		if group, err := linux.readFile(unix.AT_FDCWD, dir+"/memory.oom.group"); err == nil && (dir == mountPoint || l.OOMGroup == "") {
			l.OOMGroup = strings.TrimSpace(group)
		}
	}
	l.CPU, l.Memory, l.PIDs = format(known[0], cpu), format(known[1], memory), format(known[2], pids)
	return l
}

// limit reads "max", a number, or cpu.max's "QUOTA PERIOD" as their ratio.
func limit(s string) float64 {
	fields := strings.Fields(s)
	if len(fields) == 0 || fields[0] == "max" {
		return math.Inf(1)
	}
	n, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return math.Inf(1)
	}
	if len(fields) == 2 {
		if period, err := strconv.ParseFloat(fields[1], 64); err == nil && period > 0 {
			n /= period
		}
	}
	return n
}

func format(known bool, n float64) string {
	switch {
	case !known:
		return ""
	case math.IsInf(n, 1):
		return "max"
	}
	return strconv.FormatFloat(n, 'f', -1, 64)
}
