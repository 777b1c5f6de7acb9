package cgroup

import (
	"slices"
	"strconv"
)

// What a delegation is good for: the leaf, and an inner container. Engines put a
// container two levels below the container's cgroup, as in /docker/ID. An empty cgroup
// beside the leaf is made only if there is room for it as well.
const (
	roomDescendants = 3
	roomDepth       = 2
)

// noRoom says which limit on the number or on the depth of cgroups leaves no room for
// inner containers, or returns nil. A limit counts in all cgroups below it
// (kernel/cgroup/cgroup.c, cgroup_check_hierarchy_limits). noRoom compares the limits
// only. The number of cgroups that there are now may fall at any time.
func (f *Facts) noRoom(base *Group) *Refusal {
	if base == nil {
		return nil
	}
	groups := append([]*Group{f.Own}, f.Above...)
	for level, g := range groups[max(0, slices.Index(groups, base)):] {
		for _, limit := range []struct {
			file, value string
			least       int
		}{
			{"cgroup.max.descendants", g.MaxDescendants, roomDescendants + level},
			{"cgroup.max.depth", g.MaxDepth, roomDepth + level},
		} {
			if n, err := strconv.Atoi(limit.value); err == nil && n < limit.least {
				return refuse(NoRoom, limit.file+" of "+g.Path+" is "+limit.value+", which leaves no room for the leaf and the cgroups of an inner container",
					"raise the limit to "+strconv.Itoa(limit.least)+" at least, outside of the container")
			}
		}
	}
	return nil
}
