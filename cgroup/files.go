package cgroup

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// class says what the container's value of a file means for the processes in the leaf.
type class string

const (
	classInherited  class = "inherited"  // the container's value holds for the leaf too
	classLimit      class = "limit"      // the same, but a program that reads its own cgroup does not see it
	classProtection class = "protection" // the leaf has it only if the leaf has the value itself
	classCounter    class = "counter"    // the container's file counts the cgroups below too, the leaf's counts the leaf
)

// file is one row of the table of all cgroup files.
type file struct {
	pattern string // for path.Match
	class   class
	initial string // the value of a new cgroup, where the class is limit or protection
	note    string // what becomes of the value, for docs/cgroup.md
}

// files has every file of a cgroup (the kernel document, "Controllers"). The first row
// that matches counts. Limits and protections are copied into the leaf in this order.
// memory.high comes before memory.max. If both are lowered, the limit that only throttles
// takes effect first.
var files = []file{
	{"cpu.max", classLimit, "max 100000", "copied"},
	{"cpu.max.burst", classLimit, "0", "copied"},
	{"cpu.uclamp.max", classLimit, "max", "copied"},
	{"cpu.uclamp.min", classProtection, "0.00", "copied; inner containers begin with 0"},
	{"memory.min", classProtection, "0", unlessRecursive},
	{"memory.low", classProtection, "0", unlessRecursive},
	{"memory.high", classLimit, "max", "copied"},
	{"memory.max", classLimit, "max", "copied, but not below the use of the leaf"},
	{"memory.swap.max", classLimit, "max", "copied"},
	{"pids.max", classLimit, "max", "copied"},
	{oomGroupFile, classLimit, "0", "copied"},
	{"io.prio.class", classProtection, "no-change", "copied; the kernel looks only at the cgroup of the request (block/blk-ioprio.c)"},

	{"cpu.weight*", classInherited, "", shared},
	{"cpu.idle", classInherited, "", shared},
	{"io.weight", classInherited, "", shared},
	{"io.bfq.weight", classInherited, "", shared},
	{"io.latency", classInherited, "", shared},
	{"memory.swap.high", classInherited, "", "limits the container as a whole"},
	{"memory.zswap.*", classInherited, "", "limits the container as a whole"},
	{"io.max", classInherited, "", "limits the container as a whole"},
	{"hugetlb.*.max", classInherited, "", "limits the container as a whole"},
	{"rdma.max", classInherited, "", "limits the container as a whole"},
	{"misc.max", classInherited, "", "limits the container as a whole"},
	{"dmem.*", classInherited, "", "limits and protects the container as a whole"},
	{"cpuset.*", classInherited, "", "the leaf has the container's CPUs and nodes (cpuset.cpus.effective)"},
	{"memory.reclaim", classInherited, "", "reclaims memory of the cgroups below too"},

	{"*.pressure", classCounter, "", "of the leaf alone; the container's file has all"},
	{"*.stat", classCounter, "", "of the leaf alone; the container's file has all"},
	{"*.stat.local", classCounter, "", "of one cgroup alone; the container's file has no process"},
	{"*.numa_stat", classCounter, "", "of the leaf alone; the container's file has all"},
	{"*.current", classCounter, "", "of the leaf alone; the container's file has all"},
	{"*.peak", classCounter, "", "of the leaf alone; the container's file has all"},
	{"pids.events", classCounter, "", "before Linux 6.11, and with the mount option pids_localevents, `max` counts in the cgroup whose process could not fork: in the leaf's file, and not in the container's (kernel/cgroup/pids.c, `pids_event`)"},
	{"*.events", classCounter, "", "of the leaf alone; the container's file has all"},
	{"*.events.local", classCounter, "", "of one cgroup alone; the container's file has what its own limit did to the leaf and to inner containers"},
	{"cgroup.*", classInherited, "", "concerns the cgroup itself; `cgroup.freeze` and `cgroup.kill` reach the cgroups below"},
}

const (
	unlessRecursive = "copied where the hierarchy is mounted without memory_recursiveprot; with that option the container's value protects the leaf and the inner containers by their use"
	shared          = "the container has it beside the other cgroups of the node; in the container the leaf and each inner container have a value of their own"
)

// row returns the row of a file, or nil.
func row(name string) *file {
	for i := range files {
		if ok, _ := path.Match(files[i].pattern, name); ok {
			return &files[i]
		}
	}
	return nil
}

// copied reports whether the file is copied into the leaf.
func (f *file) copied(recursive bool) bool {
	return f != nil && f.initial != "" && !(recursive && f.note == unlessRecursive)
}

// recursive reports whether the hierarchy is mounted with memory_recursiveprot (Linux
// 5.7). Then the protection of a cgroup holds for the cgroups below, which share it by
// their use. A value of the leaf's own would take it from inner containers. All mounts of
// the hierarchy have the same options.
func (k *kernel) recursive() bool {
	mountinfo, _ := k.readFile(unix.AT_FDCWD, "/proc/self/mountinfo")
	for line := range strings.Lines(mountinfo) {
		if _, options, ok := strings.Cut(line, " - cgroup2 "); ok {
			return slices.Contains(strings.FieldsFunc(options, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }), "memory_recursiveprot")
		}
	}
	return false
}
