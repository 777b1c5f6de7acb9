package cgroup

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepAffinity runs change, and gives the threads of the container the CPU affinity back
// that they had before. Before Linux 6.2 a thread that gets another cpuset loses the
// affinity that sched_setaffinity(2) has given it (seen on 6.1). Since 8f9ea86fdf99 the
// kernel keeps it, and since 7fd4da9c1584 it leaves a thread alone if its CPUs stay the
// same. A thread gets another cpuset when it moves into a cgroup with a cpuset of its own,
// and when the controller is enabled or disabled for its cgroup.
func (a *application) keepAffinity(change func() error) error {
	before := a.affinities()
	err := change()
	for thread, old := range before {
		var now unix.CPUSet
		if a.k.affinity(thread, &now) != nil || now == old { // it has ended, or kept its affinity
			continue
		}
		if err := a.k.setAffinity(thread, &old); err != nil && err != unix.ESRCH {
			a.report.Warnings = append(a.report.Warnings, &Error{Op: "sched_setaffinity", Path: strconv.Itoa(thread), Err: err})
		}
	}
	return err
}

// affinities returns the CPU affinity of each thread in the container's cgroup and in the
// leaf. It leaves out threads of other PID namespaces.
func (a *application) affinities() map[int]unix.CPUSet {
	controllers, _ := a.words("cgroup.controllers")
	if !slices.Contains(controllers, "cpuset") {
		return nil
	}
	all := map[int]unix.CPUSet{}
	for _, file := range []string{"cgroup.threads", a.leafName() + "/cgroup.threads"} {
		content, _ := a.k.readFile(a.base, file)
		threads, _ := splitProcs(content)
		for _, thread := range threads {
			id, _ := strconv.Atoi(thread)
			var s unix.CPUSet
			if a.k.affinity(id, &s) == nil {
				all[id] = s
			}
		}
	}
	return all
}
