package cgroup

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// scheduler is a kernel that has only these threads. A change gives a thread all CPUs, as
// before Linux 6.2.
type scheduler struct {
	threads map[int]unix.CPUSet
	refuse  error
	set     []int
}

var allCPUs = unix.CPUSet{15}

func (s *scheduler) kernel() *kernel {
	k := linux
	k.affinity = func(thread int, mask *unix.CPUSet) error {
		now, ok := s.threads[thread]
		if !ok {
			return unix.ESRCH
		}
		*mask = now
		return nil
	}
	k.setAffinity = func(thread int, mask *unix.CPUSet) error {
		if s.refuse != nil {
			return s.refuse
		}
		s.set = append(s.set, thread)
		s.threads[thread] = *mask
		return nil
	}
	return &k
}

func TestAffinityAroundAChange(t *testing.T) {
	two, three := unix.CPUSet{2}, unix.CPUSet{3}
	for name, c := range map[string]struct {
		controllers string
		resets      []int // threads that the change gives all CPUs
		ends        int
		refuse      error
		want        map[int]unix.CPUSet
		warning     string
	}{
		"a kernel that keeps it":       {controllers: "cpu cpuset", want: map[int]unix.CPUSet{7: two, 8: three, 9: two}},
		"a kernel that resets it":      {controllers: "cpuset", resets: []int{7, 8, 9}, want: map[int]unix.CPUSet{7: two, 8: three, 9: two}},
		"a thread that ends":           {controllers: "cpuset", resets: []int{7, 9}, ends: 8, want: map[int]unix.CPUSet{7: two, 9: two}},
		"a thread of another user":     {controllers: "cpuset", resets: []int{8}, refuse: unix.EPERM, want: map[int]unix.CPUSet{7: two, 8: allCPUs, 9: two}, warning: "sched_setaffinity 8: operation not permitted"},
		"a thread that ends meanwhile": {controllers: "cpuset", resets: []int{8}, refuse: unix.ESRCH, want: map[int]unix.CPUSet{7: two, 8: allCPUs, 9: two}},
		"a container without cpuset":   {controllers: "cpu", want: map[int]unix.CPUSet{7: two, 8: three, 9: two}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResized(t, map[string]string{"cgroup.controllers": c.controllers, "cgroup.threads": "7\n0", "init/cgroup.threads": "8\n9"})
			base, err := unix.Open(r.dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(base)
			s := &scheduler{threads: map[int]unix.CPUSet{7: two, 8: three, 9: two}, refuse: c.refuse}
			a := &application{k: s.kernel(), plan: &Plan{leaf: "init"}, base: base}
			err = a.keepAffinity(func() error {
				for _, thread := range c.resets {
					s.threads[thread] = allCPUs
				}
				delete(s.threads, c.ends)
				return os.ErrExist
			})
			if err != os.ErrExist {
				t.Errorf("the result of the change is %v", err)
			}
			for thread, want := range c.want {
				if s.threads[thread] != want {
					t.Errorf("thread %d: %v", thread, s.threads[thread])
				}
			}
			var warnings []string
			for _, err := range a.report.Warnings {
				warnings = append(warnings, err.Error())
			}
			if got := strings.Join(warnings, ", "); got != c.warning || c.refuse == nil && len(s.set) > len(c.resets) {
				t.Errorf("warnings %q, set %v", got, s.set)
			}
		})
	}
}
