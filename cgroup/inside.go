package cgroup

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Leaf describes the leaf, and what a process in it does not have of the container.
type Leaf struct {
	Name       string   `json:"name"`
	Exists     bool     `json:"exists"`
	Type       string   `json:"type"`            // "domain", or how another program has spoilt it
	Enabled    []string `json:"subtree_control"` // controllers that a program has enabled below the leaf
	Below      string   `json:"cgroups_below"`   // number of cgroups below the leaf
	Room       string   `json:"room"`            // number of cgroups that can still be made below the container's cgroup, or "max"
	Protection string   `json:"protection"`      // how memory.min and memory.low of the container hold for the leaf, or "" if there is no such file
	Affinity   string   `json:"affinity"`        // CPUs that the process may use
	CPUs       string   `json:"cpus"`            // CPUs of the container, or ""
	Losses     []Loss   `json:"losses"`
}

// Loss is a file whose value in the leaf is not the container's, although the leaf's
// processes depend on it.
type Loss struct {
	File      string `json:"file"`
	Container string `json:"container"`
	Leaf      string `json:"leaf"`
}

// Leaf describes the leaf of p, whose facts are f. If the leaf does not exist yet, it
// describes what will be so. It returns nil if the container's cgroup is not visible.
func (p *Plan) Leaf(f *Facts) *Leaf { return linux.leaf(p, f) }

func (k *kernel) leaf(p *Plan, f *Facts) *Leaf {
	if p.Container == nil || p.Container.Root {
		return nil
	}
	container, dir := p.Container.Path, p.Container.Path+"/"+p.leaf
	l := &Leaf{Name: p.leaf, Room: k.room(container)}
	kind, err := k.value(unix.AT_FDCWD, dir+"/cgroup.type")
	l.Exists, l.Type = err == nil, kind
	enabled, _ := k.value(unix.AT_FDCWD, dir+"/"+subtreeControl)
	l.Enabled = strings.Fields(enabled)
	l.Below = k.descendants(dir)
	recursive := k.recursive()
	if _, err := k.value(unix.AT_FDCWD, container+"/memory.low"); err == nil {
		l.Protection = protectionOf(recursive, p.Options.Mirror)
	}
	l.Affinity = k.affinityOf(f.PID)
	l.CPUs, _ = k.value(unix.AT_FDCWD, container+"/cpuset.cpus.effective")
	l.Losses = k.losses(container, dir, l.Exists, p.Options.Mirror, recursive)
	return l
}

func protectionOf(recursive bool, what Mirror) string {
	switch {
	case recursive:
		return "shared by use (memory_recursiveprot)"
	case what == MirrorLimits:
		return "copied"
	}
	return "lost"
}

// losses compares the container's files with the leaf's. A leaf that does not exist yet
// will have the copies, and else the values of a new cgroup.
func (k *kernel) losses(container, leaf string, exists bool, what Mirror, recursive bool) (losses []Loss) {
	for i := range files {
		f := &files[i]
		value, err := k.value(unix.AT_FDCWD, container+"/"+f.pattern)
		if !f.copied(recursive) || err != nil || !exists && what == MirrorLimits {
			continue
		}
		own := f.initial
		if exists {
			if own, err = k.value(unix.AT_FDCWD, leaf+"/"+f.pattern); err != nil {
				continue
			}
		}
		if own != value {
			losses = append(losses, Loss{f.pattern, value, own})
		}
	}
	return losses
}

// room returns the number of cgroups that can still be made below dir, as far as dir
// limits it.
func (k *kernel) room(dir string) string {
	most, err := k.value(unix.AT_FDCWD, dir+"/cgroup.max.descendants")
	limit, notNumber := strconv.Atoi(most)
	if err != nil || notNumber != nil {
		return most // "max", or unknown
	}
	now, err := strconv.Atoi(k.descendants(dir))
	if err != nil {
		return ""
	}
	return strconv.Itoa(max(0, limit-now))
}

// descendants returns the number of cgroups below dir, or "" if it is unknown.
func (k *kernel) descendants(dir string) string {
	return k.field(dir+"/cgroup.stat", "nr_descendants ")
}

// affinityOf returns the CPUs that a process may use.
func (k *kernel) affinityOf(pid int) string {
	name := strconv.Itoa(pid)
	if pid == k.getpid() { // /proc may show another PID namespace
		name = "self"
	}
	return k.field("/proc/"+name+"/status", "Cpus_allowed_list:")
}
