package shim

import (
	"strings"

	"github.com/cgshim/cgshim/cgroup"
)

// leaf adds the leaf to the diagnosis. A program that makes cgroups below the leaf enables
// controllers there, which makes the leaf "domain threaded".
func (d *diagnosis) leaf(l *cgroup.Leaf) {
	d.Leaf = l
	if l == nil || !l.Exists {
		return
	}
	if l.Type != "domain" || len(l.Enabled) > 0 {
		d.note("a program makes cgroups below the leaf " + cgroup.Quote(l.Name) + ", where limits of inner containers fail: " +
			"give it a cgroup beside the leaf (dockerd --cgroup-parent=/docker), not one from /proc/self/cgroup")
	}
}

func (d *diagnosis) leafLines(line func(key, value string)) {
	l := d.Leaf
	if l == nil {
		return
	}
	kind := "is not made yet"
	if l.Exists {
		kind = "type " + l.Type
	}
	line("leaf", l.Name+" "+kind)
	line("leaf subtree_control", strings.Join(l.Enabled, " "))
	line("cgroups below leaf", l.Below)
	line("room for cgroups", l.Room)
	line("memory protection", l.Protection)
	cpus := l.Affinity
	if l.CPUs != "" {
		cpus += " of " + l.CPUs
	}
	line("CPU affinity", cpus)
	for _, loss := range l.Losses {
		line("lost in the leaf", loss.File+" "+loss.Container+" (leaf "+loss.Leaf+")")
	}
}
