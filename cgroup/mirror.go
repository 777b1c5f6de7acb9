package cgroup

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mirror says which limits of the container are copied into its leaf.
type Mirror int

const (
	MirrorLimits  Mirror = iota // all limits and protections, and memory.oom.group
	MirrorNothing               // no limits
)

// files returns the names of the files to copy, in order. recursive is that of the
// hierarchy.
func (m Mirror) files(recursive bool) (names []string) {
	for i := range files {
		if m == MirrorLimits && files[i].copied(recursive) {
			names = append(names, files[i].pattern)
		}
	}
	return names
}

const oomGroupFile = "memory.oom.group"

// mirrorStep copies the container's limits and protections into the leaf. Some programs read only the
// limits of their own cgroup. The JVM and Node size their heap by these limits, and Go
// sets GOMAXPROCS (golang/go#81180). The container's limits hold for the leaf's
// processes anyway, so the copies do not restrict them further.
//
// memory.oom.group is copied too. If the leaf reaches its own limit, the kernel
// considers only the cgroups from the chosen process up to the leaf (mm/memcontrol.c,
// mem_cgroup_get_oom_group). Without the copy, the kernel would kill one process,
// although the container's memory.oom.group asks for the whole container.
//
// A protection holds for the leaf only if the leaf has it itself.
type mirrorStep struct {
	leaf string
	what Mirror
}

func (s mirrorStep) String() string {
	return "copy " + strings.Join(s.what.files(true), ", ") + " of the container's cgroup to the leaf " + s.leaf +
		", and without memory_recursiveprot memory.min and memory.low"
}

func (s mirrorStep) do(a *application) error {
	dir, err := a.container()
	if err != nil {
		return err
	}
	var errs []error
	a.report.copied, _, errs = a.k.copyLimits(dir, newMirrored(s.what, s.leaf, a.k.recursive()))
	a.report.Warnings = append(a.report.Warnings, errs...)
	return nil
}

// copyLimits copies into the leaf the limits that changed in the container, whose
// directory is base. again reports whether a later try may copy more.
func (k *kernel) copyLimits(base int, m Mirrored) (next Mirrored, again bool, errs []error) {
	next = m.clone()
	// The kernel refuses a quota in cpu.max below the burst, and a burst in
	// cpu.max.burst above the quota (kernel/sched/core.c, tg_set_cfs_bandwidth). If
	// both change, copyLimits cannot know which file has to be written first. So it
	// tries every file a second time.
	for range 2 {
		if again, errs = k.copyFiles(base, m.leaf, next.files); !again {
			break
		}
	}
	return next, again, errs
}

func (k *kernel) copyFiles(base int, leaf string, files []copiedFile) (again bool, errs []error) {
	for i := range files {
		done, err := k.copyFile(base, leaf, &files[i])
		if transient(err) {
			errs = append(errs, err)
		}
		again = again || transient(err) || !done
	}
	return again, errs
}

// copyFile copies one limit. done is false if the leaf still uses more memory than the
// limit. copyFile skips a limit that did not change in the container, because another
// program may have given the leaf a lower limit meanwhile.
func (k *kernel) copyFile(base int, leaf string, f *copiedFile) (done bool, err error) {
	value, err := k.value(base, f.name)
	if err != nil || value == "" || len(value) > longestLimit || value == f.copied {
		return true, err
	}
	own, err := k.value(base, leaf+"/"+f.name)
	if err != nil {
		return true, err
	}
	if own != value {
		if f.name == "memory.max" && k.exceeded(base, leaf, value) {
			return false, nil
		}
		// Since Linux 6.16 a write with O_NONBLOCK sets the limit without reclaiming
		// memory. Processes that allocate reclaim it later (the kernel document,
		// memory.high and memory.max).
		if err := k.writeFlags(base, leaf+"/"+f.name, value, unix.O_NONBLOCK); err != nil {
			return true, err
		}
	}
	f.copied = value
	return true, nil
}

// value returns the content of a cgroup file that has one line.
func (k *kernel) value(dir int, name string) (string, error) {
	s, err := k.readFile(dir, name)
	return strings.TrimSpace(s), err
}

// transient reports whether a later try may succeed. It cannot if the file does not
// exist, because the container lacks the controller, if the mount shows another cgroup,
// or if this process may not write to the leaf.
func transient(err error) bool {
	return err != nil && !is(err, unix.ENOENT, unix.ESTALE, unix.EACCES, unix.EPERM, unix.EROFS)
}

// exceeded reports whether the leaf uses more memory than limit. Such a memory.max is not
// copied yet, because the kernel would kill processes of the leaf until the rest fits
// (mm/memcontrol.c, memory_max_write). The container's own limit is in force anyway. A
// write of memory.high kills nothing, and after some tries it stops reclaiming memory
// (memory_high_write).
func (k *kernel) exceeded(base int, leaf, limit string) bool {
	most, err := strconv.ParseUint(limit, 10, 64)
	if err != nil {
		return false // "max"
	}
	current, err := k.value(base, leaf+"/memory.current")
	if err != nil {
		return false
	}
	used, err := strconv.ParseUint(current, 10, 64)
	return err == nil && used > most
}
