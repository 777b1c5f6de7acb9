package cgroup

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLossesInTheLeaf(t *testing.T) {
	container := map[string]string{"cpu.uclamp.min": "20.00", "memory.low": "100", "memory.max": "900", "cpu.weight": "50", "io.prio.class": "no-change"}
	leaf := map[string]string{"init/cpu.uclamp.min": "0.00", "init/memory.low": "0", "init/memory.max": "900", "init/cpu.weight": "100", "init/io.prio.class": "no-change"}
	for name, c := range map[string]struct {
		exists, recursive bool
		what              Mirror
		want              string
	}{
		"a leaf that is not made yet gets the copies": {what: MirrorLimits},
		"without copies it begins like a new cgroup":  {what: MirrorNothing, want: "cpu.uclamp.min 20.00 0.00, memory.low 100 0, memory.max 900 max"},
		"with memory_recursiveprot no protection is lost": {
			what: MirrorNothing, recursive: true, want: "cpu.uclamp.min 20.00 0.00, memory.max 900 max",
		},
		"a leaf that another program has made": {exists: true, what: MirrorLimits, want: "cpu.uclamp.min 20.00 0.00, memory.low 100 0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResized(t, container)
			if c.exists {
				for name, value := range leaf {
					r.write(name, value)
				}
			}
			var got []string
			for _, l := range linux.losses(r.dir, r.dir+"/init", c.exists, c.what, c.recursive) {
				got = append(got, l.File+" "+l.Container+" "+l.Leaf)
			}
			if all := strings.Join(got, ", "); all != c.want {
				t.Errorf("%q, want %q", all, c.want)
			}
		})
	}
}

func TestFactsOfTheLeaf(t *testing.T) {
	r := newResized(t, map[string]string{
		"cgroup.max.descendants": "5", "cgroup.stat": "nr_descendants 3\nnr_dying_descendants 9", "cpuset.cpus.effective": "0-3", "memory.low": "0", "init/memory.low": "0",
		"init/cgroup.type": "domain threaded", "init/" + subtreeControl: "cpu pids", "init/cgroup.stat": "nr_descendants 2",
	})
	p := &Plan{Container: &Group{Path: r.dir}, leaf: "init"}
	l := mountedWith(t, "rw").leaf(p, &Facts{PID: unix.Getpid()})
	if l.Name != "init" || !l.Exists || l.Type != "domain threaded" || len(l.Enabled) != 2 || l.Below != "2" || l.Room != "2" ||
		l.Protection != "copied" || l.CPUs != "0-3" || l.Affinity == "" || len(l.Losses) != 0 {
		t.Errorf("%+v", l)
	}
	r = newResized(t, map[string]string{"cgroup.max.descendants": "max", "memory.low": "0"})
	p = &Plan{Container: &Group{Path: r.dir}, leaf: "other", Options: Options{Mirror: MirrorNothing}}
	if l := mountedWith(t, "rw").leaf(p, &Facts{PID: 1}); l.Exists || l.Room != "max" || l.Protection != "lost" {
		t.Errorf("%+v", l)
	}
	if l := new(Plan).Leaf(new(Facts)); l != nil {
		t.Errorf("%+v", l)
	}
}
