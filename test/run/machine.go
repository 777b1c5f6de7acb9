package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// machine returns the mount point of the cgroup2 hierarchy, or "" if there is none. It
// also reports whether controllers are in v1 hierarchies.
func machine() (hierarchy string, v1 bool) {
	for _, line := range strings.Split(read("/proc/self/mountinfo"), "\n") {
		// The fifth field is the mount point, and the type follows " - "
		// (proc_pid_mountinfo(5)).
		head, tail, _ := strings.Cut(line, " - ")
		fields := strings.Fields(head)
		if len(fields) < 5 || !strings.HasPrefix(fields[4]+"/", cgroupRoot+"/") {
			continue
		}
		switch fstype, _, _ := strings.Cut(tail, " "); fstype {
		case "cgroup2":
			hierarchy = fields[4]
		case "cgroup":
			v1 = true
		}
	}
	return hierarchy, v1
}

func kindsOf(hierarchy string, v1 bool) (kinds []string) {
	if hierarchy != "" {
		kinds = append(kinds, "host", "private")
	}
	if v1 || hierarchy == "" {
		kinds = append(kinds, "v1")
	}
	return kinds
}

// tree is the sandbox's cgroup. A container runtime makes such a cgroup for a container.
type tree struct {
	mount   string // mount point of the hierarchy
	dir     string
	path    string   // path in /proc/PID/cgroup
	enabled []string // controllers that this program enabled in the hierarchy's root
}

func newTree(name string) (*tree, error) {
	hierarchy, _ := machine()
	t := &tree{mount: hierarchy, dir: filepath.Join(hierarchy, name)}
	have := strings.Fields(read(filepath.Join(hierarchy, "cgroup.subtree_control")))
	for _, c := range strings.Fields(read(filepath.Join(hierarchy, "cgroup.controllers"))) {
		if slices.Contains(have, c) {
			continue
		}
		if err := t.control("+" + c); err != nil {
			fmt.Println("note:", err)
			continue
		}
		t.enabled = append(t.enabled, c)
	}
	if err := os.Mkdir(t.dir, 0o755); err != nil {
		return t, err
	}
	t.path = "/" + name
	if own := root(hierarchy); own != "/" {
		t.path = own + t.path
	}
	return t, nil
}

// root returns the path of the cgroup that is at the mount point. In a container it is the
// container's own cgroup.
func root(hierarchy string) string {
	for _, line := range strings.Split(read("/proc/self/mountinfo"), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == hierarchy {
			return fields[3]
		}
	}
	return "/"
}

func (t *tree) control(change string) error {
	file := filepath.Join(t.mount, "cgroup.subtree_control")
	if err := os.WriteFile(file, []byte(change), 0); err != nil {
		return fmt.Errorf("%w: %q", err, change)
	}
	return nil
}

func (t *tree) controllers() string { return read(filepath.Join(t.dir, "cgroup.controllers")) }

// restore disables the controllers that newTree enabled. A controller stays enabled if the
// cgroup of another program has begun to use it (EBUSY; cgroup-v2.rst, "Top-down
// Constraint").
func (t *tree) restore() {
	for _, c := range t.enabled {
		if err := t.control("-" + c); err != nil {
			fmt.Println("note:", err)
		}
	}
}

// process returns the PID of the sandbox's process with this command, or 0.
func (t *tree) process(command string) int {
	for _, pid := range t.processes() {
		if read(fmt.Sprintf("/proc/%d/comm", pid)) == command {
			return pid
		}
	}
	return 0
}

func (t *tree) processes() (pids []int) {
	for _, dir := range cgroupsBelow(t.dir) {
		for _, word := range strings.Fields(read(filepath.Join(dir, "cgroup.procs"))) {
			pid, _ := strconv.Atoi(word)
			pids = append(pids, pid)
		}
	}
	return pids
}

func cgroupsBelow(top string) (dirs []string) {
	_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	return dirs
}

// removeCgroups removes the sandbox's cgroups in every hierarchy, children first. It tries
// for a while, because the kernel may refuse for a moment after the last process has ended
// (EBUSY).
func removeCgroups(name string) error {
	tops, _ := filepath.Glob(filepath.Join(cgroupRoot, "*", name))
	tops = append(tops, filepath.Join(cgroupRoot, name))
	deadline := time.Now().Add(5 * time.Second)
	var errs []error
	for _, top := range tops {
		dirs := cgroupsBelow(top)
		slices.Reverse(dirs)
		for _, dir := range dirs {
			err := os.Remove(dir)
			for err != nil && !errors.Is(err, os.ErrNotExist) && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
				err = os.Remove(dir)
			}
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// cgroupOf returns the v2 cgroup of a process as the host sees it.
func cgroupOf(pid int) string {
	for _, line := range strings.Split(read(fmt.Sprintf("/proc/%d/cgroup", pid)), "\n") {
		if path, found := strings.CutPrefix(line, "0::"); found {
			return path
		}
	}
	return ""
}

func processWith(text string) int {
	if pids := processesWith(text); len(pids) > 0 {
		return pids[0]
	}
	return 0
}

// processesWith finds processes by a text in their command line or cgroup.
func processesWith(text string) (pids []int) {
	eachProcess(func(pid int) {
		dir := fmt.Sprintf("/proc/%d/", pid)
		if strings.Contains(read(dir+"cmdline"), text) || strings.Contains(read(dir+"cgroup"), text) {
			pids = append(pids, pid)
		}
	})
	return pids
}

// mountsWith finds mounts with a text, in every mount namespace that still has a process.
func mountsWith(text string) (mounts []string) {
	eachProcess(func(pid int) {
		for _, line := range strings.Split(read(fmt.Sprintf("/proc/%d/mountinfo", pid)), "\n") {
			if strings.Contains(line, text) {
				mounts = append(mounts, fmt.Sprintf("of pid %d: %s", pid, line))
			}
		}
	})
	return mounts
}

func zombiesOf(parent int) (zombies []string) {
	eachProcess(func(pid int) {
		// The fields are "pid (comm) state ppid", in which comm may contain any character
		// (proc_pid_stat(5)).
		_, rest, _ := strings.Cut(read(fmt.Sprintf("/proc/%d/stat", pid)), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(parent) {
			zombies = append(zombies, fmt.Sprintf("%d %s", pid, read(fmt.Sprintf("/proc/%d/comm", pid))))
		}
	})
	return zombies
}

func eachProcess(do func(pid int)) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && pid != os.Getpid() {
			do(pid)
		}
	}
}

// read returns a file without white space at its ends, or "" if the file is gone. The file of
// a process may disappear at any time.
func read(file string) string {
	data, _ := os.ReadFile(file)
	return strings.TrimSpace(string(data))
}

func sameWords(a, b string) bool {
	as, bs := strings.Fields(a), strings.Fields(b)
	slices.Sort(as)
	slices.Sort(bs)
	return slices.Equal(as, bs)
}
