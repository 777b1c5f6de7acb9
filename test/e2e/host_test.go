package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// host is the state of the machine that a container must leave as it was.
type host struct {
	mounts       []string // except those that the machine's dockerd makes
	options      string   // of the cgroup2 super block
	subtree      string   // the controllers enabled at the top
	atTop        []string // processes in the top cgroup
	cgroups      []string
	propagation  string // the optional fields of /sys/fs/cgroup's mount
	namespaceIDs string
}

func observe() (host, error) {
	var h host
	data, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		return h, err
	}
	for line := range strings.Lines(string(data)) {
		// ID PARENT MAJ:MIN ROOT POINT OPTIONS [FIELDS] - KIND SOURCE SUPER, proc(5)
		left, right, _ := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if l[4] == cgroupRoot {
			h.options, h.propagation = r[2], strings.Join(l[6:], " ")
			r[2] = ""
		}
		if !strings.HasPrefix(l[4], place) && !strings.HasPrefix(l[4], "/run/docker") {
			h.mounts = append(h.mounts, strings.Join(append(l[3:6], r...), " "))
		}
	}
	slices.Sort(h.mounts)
	h.subtree = read(cgroupRoot + "/cgroup.subtree_control")
	for _, pid := range strings.Fields(read(cgroupRoot + "/cgroup.procs")) {
		// Kernel threads come and go, so they do not count. They have no executable.
		if _, err := os.Readlink("/proc/" + pid + "/exe"); err == nil {
			h.atTop = append(h.atTop, pid+":"+read("/proc/"+pid+"/comm"))
		}
	}
	h.cgroups = groupsBelow(cgroupRoot)
	for _, kind := range []string{"cgroup", "mnt"} {
		link, _ := os.Readlink("/proc/1/ns/" + kind)
		h.namespaceIDs += link
	}
	return h, nil
}

// leavesTheHost runs f, which must remove everything that it makes, and compares the host
// before and after. The mount options must be as in baseline, because a runtime alone
// changes them when the container has the host's cgroup namespace (see resetOptions).
func leavesTheHost(baseline string, f func() error) error {
	before, err := observe()
	if err != nil {
		return err
	}
	before.options = baseline
	defer before.repair()
	return errors.Join(f(), before.since())
}

// since returns the differences between the host then and now, as an error.
func (h host) since() error {
	// A container's cgroups and mounts may disappear only after docker rm has answered.
	var last error
	err := eventually(10*time.Second, func() error {
		now, err := observe()
		if err != nil {
			return err
		}
		last = errors.Join(
			differs("mount table", h.mounts, now.mounts),
			differs("cgroup2 mount options", []string{h.options}, []string{now.options}),
			differs("propagation of "+cgroupRoot, []string{h.propagation}, []string{now.propagation}),
			differs("top-level subtree_control", []string{h.subtree}, []string{now.subtree}),
			differs("top-level processes", h.atTop, now.atTop),
			differs("cgroups", h.cgroups, now.cgroups),
			differs("namespaces of PID 1", []string{h.namespaceIDs}, []string{now.namespaceIDs}))
		return last
	})
	if err != nil {
		return last
	}
	return nil
}

func differs(what string, before, after []string) error {
	var changes []string
	for _, s := range before {
		if !slices.Contains(after, s) {
			changes = append(changes, "-"+s)
		}
	}
	for _, s := range after {
		if !slices.Contains(before, s) {
			changes = append(changes, "+"+s)
		}
	}
	if changes == nil {
		return nil
	}
	const most = 4
	if n := len(changes); n > most {
		changes = append(changes[:most], fmt.Sprintf("and %d more", n-most))
	}
	return fmt.Errorf("%s: %s", what, strings.Join(changes, "; "))
}

// repair undoes what a peer did to the host, so that every case begins with the same host.
// The next case observes the host again, with anything that repair could not undo.
func (h host) repair() {
	for range 10 { // a mount may hide another
		now, err := observe()
		if err != nil || differs("", nil, now.mounts) == nil {
			break
		}
		undone := false
		for _, m := range now.mounts {
			if !slices.Contains(h.mounts, m) {
				undone = syscall.Unmount(strings.Fields(m)[1], syscall.MNT_DETACH) == nil || undone
			}
		}
		if !undone {
			break
		}
	}
	for _, dir := range groupsBelow(cgroupRoot) {
		if slices.Contains(h.cgroups, dir) {
			continue
		}
		for _, pid := range strings.Fields(read(dir + "/cgroup.procs")) {
			_ = os.WriteFile(cgroupRoot+"/cgroup.procs", []byte(pid), 0)
		}
	}
	for _, dir := range slices.Backward(groupsBelow(cgroupRoot)) {
		if !slices.Contains(h.cgroups, dir) {
			_ = os.Remove(dir)
		}
	}
	resetOptions()
}

// resetOptions gives cgroup2 the options that systemd mounts it with. A runtime takes them
// away when it mounts cgroup2 for a container in the host's cgroup namespace, whatever the
// container runs (containerd issue 12952).
func resetOptions() {
	_ = syscall.Mount("", cgroupRoot, "", syscall.MS_REMOUNT|syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC|syscall.MS_RELATIME, "nsdelegate,memory_recursiveprot")
}

// options returns the present options of the cgroup2 super block.
func options() string {
	h, _ := observe()
	return h.options
}
