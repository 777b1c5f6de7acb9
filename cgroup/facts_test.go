package cgroup

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// shown returns a kernel for the process pid that shows these files. Their paths have
// no leading slash.
func shown(t *testing.T, files map[string]string, pid int) *kernel {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(strconv.Itoa(pid), root+"/proc/self"); err != nil {
		t.Fatal(err)
	}
	k := linux
	below := func(name string) string {
		if filepath.IsAbs(name) {
			return root + name
		}
		return name
	}
	k.openat = func(dir int, name string, flags int, mode uint32) (int, error) {
		if flags&(unix.O_WRONLY|unix.O_RDWR|unix.O_CREAT) != 0 {
			t.Errorf("%s is opened for writing", name)
		}
		return linux.openat(dir, below(name), flags, mode)
	}
	k.stat = func(name string, s *unix.Stat_t) error { return linux.stat(below(name), s) }
	k.lstat = func(name string, s *unix.Stat_t) error { return linux.lstat(below(name), s) }
	k.readlink = func(name string, p []byte) (int, error) { return linux.readlink(below(name), p) }
	k.getxattr = func(name, attr string, p []byte) (int, error) {
		text, found := files[strings.TrimPrefix(name, "/")+" "+attr]
		if !found {
			return 0, unix.ENODATA
		}
		return copy(p, text), nil
	}
	k.fstatfs = func(_ int, s *unix.Statfs_t) error {
		s.Type = unix.CGROUP2_SUPER_MAGIC
		return nil
	}
	k.getpid = func() int { return pid }
	k.subject = func() (int, int) {
		stat, _ := parseStat(files["proc/"+strconv.Itoa(pid)+"/stat"])
		return pid, stat.parent
	}
	k.getsid = func(of int) (int, error) {
		if of == 0 {
			of = pid
		}
		stat, _ := parseStat(files["proc/"+strconv.Itoa(of)+"/stat"])
		return stat.session, nil
	}
	return &k
}

// proc returns the files of a process in /proc.
func proc(pid, parent, session, start int, group, mounts string) map[string]string {
	dir := "proc/" + strconv.Itoa(pid) + "/"
	text := strconv.Itoa
	return map[string]string{
		dir + "stat":      text(pid) + " (a b) S " + text(parent) + " 5 " + text(session) + " 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 " + text(start) + " 0",
		dir + "status":    "Name:\ta b\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t27 \nCapEff:\t00000000a80425fb\n",
		dir + "uid_map":   "         0          0 4294967295\n",
		dir + "cgroup":    "0::" + group + "\n",
		dir + "mountinfo": mounts,
	}
}

const (
	ourMounts       = "26 25 0:24 / /sys rw - sysfs sysfs rw\n30 26 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	elsewhereMounts = "99 25 0:24 / /sys rw - sysfs sysfs rw\n"
)

// dir returns the files of a cgroup's directory.
func dir(path, enabled, procs string) map[string]string {
	path = "sys/fs/cgroup" + path + "/"
	return map[string]string{
		path + "cgroup.type": "domain\n", path + "cgroup.controllers": "cpu memory\n", path + subtreeControl: enabled + "\n",
		path + "cgroup.procs": procs, path + "cgroup.max.depth": "max\n", path + "cgroup.max.descendants": "7\n",
	}
}

func all(parts ...map[string]string) map[string]string {
	files := map[string]string{}
	for _, part := range parts {
		maps.Copy(files, part)
	}
	return files
}

func TestObserveBesideAnInit(t *testing.T) {
	k := shown(t, all(
		proc(1, 0, 1, 100, "/ctr", ourMounts), proc(7, 1, 1, 101, "/ctr", ourMounts),
		dir("", "cpu memory", ""), dir("/ctr", "", "1\n7\n"), dir("/init", "", "0\n0\n"), dir("/init/init", "", "0\n"), dir("/docker", "", "0\n"), dir("/docker/x", "", "0\n"),
		map[string]string{"sys/fs/cgroup user.cgshim": "0 26 0 a leaf", "sys/fs/cgroup/ctr user.cgshim": "1 0 0 other"},
	), 7)
	f := k.observe("self")
	if f.PID != 7 || f.Parent != 1 || f.Session != 1 || f.Init != "/ctr" || f.InitSession != 1 || f.Elsewhere || f.First || !f.entry() {
		t.Errorf("%+v", f)
	}
	if f.GID != 0 || len(f.Groups) != 1 || f.Groups[0] != 27 || !f.InitialUserNS || f.SysAdmin || !f.Override {
		t.Errorf("%+v", f)
	}
	if f.Own.Path != mountPoint+"/ctr" || f.Own.Processes != 2 || f.Own.MaxDescendants != "7" || !f.Own.Writable || len(f.Above) != 1 || f.top() != f.Above[0] {
		t.Errorf("%+v", f)
	}
	// strangers descends into every cgroup with the name of a leaf, and not into others.
	if f.Strangers != 4 {
		t.Errorf("%d strangers", f.Strangers)
	}
	if f.Kept == nil || *f.Kept != (Kept{f.Above[0].ID, "a leaf", 26, mountPoint + "/a leaf"}) {
		t.Errorf("%+v", f.Kept)
	}
	if f.Holder == nil || f.Holder.Point != "/sys" || f.ParentShared {
		t.Errorf("%+v", f.Holder)
	}
	if entry := k.observeEntry(); entry == nil || entry.PID != 1 || entry.Parent != 0 {
		t.Errorf("%+v", entry)
	}
}

func TestObserveInASharedPIDNamespace(t *testing.T) {
	pause := proc(1, 0, 1, 100, "/pause", elsewhereMounts)
	files := all(
		pause, proc(7, 0, 0, 200, "/ctr", ourMounts), proc(9, 0, 0, 300, "/ctr", ourMounts), proc(5, 0, 0, 350, "/ctr", elsewhereMounts),
		dir("", "", ""), dir("/ctr", "", "5\n7\n9\n12\n"),
	)
	first := shown(t, files, 7)
	if f := first.observe("self"); !f.Elsewhere || !f.First || f.Init != "" || !f.entry() || len(f.Above) != 1 {
		t.Errorf("%+v", f)
	}
	if entry := first.observeEntry(); entry != nil {
		t.Errorf("%+v", entry)
	}
	later := shown(t, files, 9)
	if f := later.observe("self"); !f.Elsewhere || f.First || f.entry() {
		t.Errorf("%+v", f)
	}
	if entry := later.observeEntry(); entry == nil || entry.PID != 7 {
		t.Errorf("%+v", entry)
	}
}

// An exec with mounts of its own (unshare -m) is not the first process.
func TestObserveMountsOfItsOwn(t *testing.T) {
	k := shown(t, all(proc(1, 0, 1, 100, "/ctr", elsewhereMounts), proc(9, 0, 0, 300, "/ctr", ourMounts), dir("", "", ""), dir("/ctr", "", "1\n9\n")), 9)
	if f := k.observe("self"); !f.Elsewhere || f.First || f.entry() {
		t.Errorf("%+v", f)
	}
	if entry := k.observeEntry(); entry != nil {
		t.Errorf("%+v", entry)
	}
}

// A kernel without cgroups has no /proc/PID/cgroup, which is no error. If /proc is
// missing, it is an error.
func TestObserveWithoutCgroups(t *testing.T) {
	files := proc(1, 0, 1, 100, "", "")
	delete(files, "proc/1/cgroup")
	if f := shown(t, files, 1).observe("self"); f.Unreadable != "" || Decide(f, Options{}).State != Absent {
		t.Errorf("%+v", f)
	}
	f := shown(t, map[string]string{"proc/x": ""}, 1).observe("self")
	if p := Decide(f, Options{}); f.Unreadable == "" || p.State != Unavailable || f.UID != -1 || f.IDMap != "" {
		t.Errorf("%+v", f)
	}
}

func TestObserveTheRealRoot(t *testing.T) {
	files := all(proc(1, 0, 1, 100, "/", ourMounts), dir("", "cpu", "1\n"))
	delete(files, "sys/fs/cgroup/cgroup.type")
	if f := shown(t, files, 1).observe("self"); !f.Own.Root || f.top() != nil || Decide(f, Options{}).State != RealRoot {
		t.Errorf("%+v", f)
	}
}

// A process is on the host if it has the mounts of the PID 1 of the initial PID namespace.
func TestOnHost(t *testing.T) {
	const mounts, others = 4026540000, 4026540001
	for _, c := range []struct {
		name         string
		self         int
		pids         uint64
		own, init    uint64 // mount namespaces, 0 if unreadable
		host, unseen bool
	}{
		{"a shell on the host", 1000, initialPIDNamespace, mounts, mounts, true, false},
		{"a container with the host's PID namespace", 1000, initialPIDNamespace, mounts, others, false, false},
		{"one that may not see the mounts of PID 1", 1000, initialPIDNamespace, mounts, 0, true, true},
		{"a container", 1, initialPIDNamespace + 7, mounts, mounts, false, false},
		{"unshare --pid alone, where /proc shows the host's", 1, initialPIDNamespace + 7, mounts, mounts, true, false},
		{"the initial mount namespace", 1, initialPIDNamespace + 7, initialMountNamespace, 0, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := linux
			k.getpid = func() int { return c.self }
			k.readlink = func(_ string, p []byte) (int, error) {
				if strings.HasPrefix(c.name, "unshare") {
					return copy(p, "4711"), nil
				}
				return copy(p, strconv.Itoa(c.self)), nil
			}
			k.stat = func(name string, s *unix.Stat_t) error {
				s.Ino = map[string]uint64{"/proc/self/ns/pid": c.pids, "/proc/self/ns/mnt": c.own, "/proc/1/ns/mnt": c.init}[name]
				if s.Ino == 0 {
					return unix.EACCES
				}
				return nil
			}
			f := k.onHost()
			if f.OnHost != c.host || f.HostUnseen != c.unseen {
				t.Errorf("on the host %v, unseen %v", f.OnHost, f.HostUnseen)
			}
			if c.host {
				if p := Decide(f, Options{Anywhere: true}); p.State != Host || strings.Contains(p.Refusal.Reason, "may be") != c.unseen {
					t.Errorf("%+v", p.Refusal)
				}
			}
		})
	}
}
