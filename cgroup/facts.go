package cgroup

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoint is where everything that runs containers expects cgroup v2.
const mountPoint = "/sys/fs/cgroup"

// Inodes of the initial namespaces, constant since Linux 3.8, that of mounts since
// 6.18; a namespace that is made gets a higher one (include/linux/proc_ns.h,
// include/uapi/linux/nsfs.h).
const (
	InitialCgroupNamespace = 4026531835
	initialPIDNamespace    = 4026531836
	initialMountNamespace  = 4026531832
)

// Facts is the environment of a process as far as cgroups are concerned.
type Facts struct {
	PID           int      `json:"pid"`
	UID           int      `json:"uid"`
	Kernel        string   `json:"kernel"`
	InitialUserNS bool     `json:"initial_user_namespace"`
	SysAdmin      bool     `json:"cap_sys_admin"`
	Override      bool     `json:"cap_dac_override"`
	CgroupNS      uint64   `json:"cgroup_namespace"`
	PIDNS         uint64   `json:"pid_namespace"`
	MountNS       uint64   `json:"mount_namespace"`
	OnHost        bool     `json:"on_host"`       // the mount namespace is the host's, or that cannot be told
	Unified       string   `json:"cgroup"`        // path of the v2 line of /proc/PID/cgroup
	Init          string   `json:"init_cgroup"`   // that of PID 1, if this is another process and both have the same mounts
	V1            []string `json:"v1,omitempty"`  // v1 hierarchies with this process in them
	Missing       bool     `json:"missing"`       // /sys/fs/cgroup does not exist
	Symlink       bool     `json:"symlink"`       // it is a symbolic link
	Mount         *Mount   `json:"mount"`         // what is mounted there, nil: nothing
	ParentShared  bool     `json:"parent_shared"` // the mount that holds it propagates, or does not show
	SubMounts     []string `json:"sub_mounts,omitempty"`
	Own           *Group   `json:"own"`              // the process's cgroup, nil where the mount does not show it
	Above         *Group   `json:"above"`            // the cgroup above that, nil likewise
	Errors        []string `json:"errors,omitempty"` // what could not be read
}

// Group is a cgroup directory.
type Group struct {
	Path        string   `json:"path"`
	ID          uint64   `json:"id"`   // the inode: what eBPF and Tetragon call the cgroup id
	Root        bool     `json:"root"` // the hierarchy's real root: it has no cgroup.type (the kernel document, "Core Interface Files")
	Type        string   `json:"type"`
	Controllers []string `json:"controllers"`
	Enabled     []string `json:"subtree_control"`
	Processes   int      `json:"processes"`
	Foreign     int      `json:"foreign_processes"`
	Writable    bool     `json:"writable"`
	Owner       int      `json:"owner"`
	Mode        uint32   `json:"mode"`
	ProcsErr    string   `json:"procs_error,omitempty"`
}

// Observe gathers the facts about this process. It changes nothing and never
// fails: what cannot be read is missing and named in Errors.
func Observe() *Facts {
	f := &Facts{PID: os.Getpid()}
	f.observe("/proc/self")
	return f
}

// ObserveInit gathers the facts about PID 1, as far as the caller may read them. It
// returns nil where PID 1 has other mounts and so is no init of this container: the
// pause container of a pod, or the host's. The cgroup path and the mount's root are
// relative to the caller's cgroup namespace (cgroup_namespaces(7)).
func ObserveInit() *Facts {
	if !initHasOurMounts() {
		return nil
	}
	f := &Facts{PID: 1}
	if f.observe("/proc/1"); f.Unified == "" {
		return nil
	}
	return f
}

// initHasOurMounts compares by the IDs of the mounts, which are unique. Unlike the
// inodes of the namespaces anybody may read them.
func initHasOurMounts() bool {
	own, err := linux.readFile(unix.AT_FDCWD, "/proc/self/mountinfo")
	init, _ := linux.readFile(unix.AT_FDCWD, "/proc/1/mountinfo")
	return err == nil && own == init
}

func (f *Facts) observe(proc string) {
	var uname unix.Utsname
	if unix.Uname(&uname) == nil {
		f.Kernel = unix.ByteSliceToString(uname.Release[:])
	}
	member := parseMembership(f.file(proc + "/cgroup"))
	f.Unified, f.V1 = member.unified, member.v1
	f.InitialUserNS = isInitialMap(f.file(proc + "/uid_map"))
	status := f.file(proc + "/status")
	f.UID = effectiveUID(status)
	f.SysAdmin, f.Override = capable(status, unix.CAP_SYS_ADMIN), capable(status, unix.CAP_DAC_OVERRIDE)
	f.CgroupNS = f.namespace(proc, "cgroup")
	f.PIDNS = f.namespace("/proc/self", "pid")
	f.MountNS = f.namespace("/proc/self", "mnt")
	f.observeHost()
	if f.PID != 1 && initHasOurMounts() {
		init, _ := linux.readFile(unix.AT_FDCWD, "/proc/1/cgroup")
		f.Init = parseMembership(init).unified
	}
	f.observeMounts(f.file(proc + "/mountinfo"))
	f.observeGroups()
}

// observeHost looks whether the mounts are the host's: those of the PID 1 of the
// initial PID namespace. After `unshare --pid` alone /proc still is that namespace's.
func (f *Facts) observeHost() {
	var link [16]byte
	n, err := unix.Readlink("/proc/self", link[:])
	foreign := err == nil && string(link[:n]) != strconv.Itoa(os.Getpid())
	if f.PIDNS == initialPIDNamespace || foreign {
		init := f.namespace("/proc/1", "mnt")
		f.OnHost = init == 0 || init == f.MountNS
	}
	f.OnHost = f.OnHost || f.MountNS == initialMountNamespace
}

// file is the content of a file, empty and noted where it cannot be read.
func (f *Facts) file(name string) string {
	s, err := linux.readFile(unix.AT_FDCWD, name)
	if err != nil {
		f.Errors = append(f.Errors, err.Error())
	}
	return s
}

// namespace is the inode of a namespace, 0 where it cannot be read.
func (f *Facts) namespace(proc, name string) uint64 {
	var s unix.Stat_t
	file := proc + "/ns/" + name
	if err := unix.Stat(file, &s); err != nil {
		f.Errors = append(f.Errors, (&Error{Op: "stat", Path: file, Err: err}).Error())
	}
	return s.Ino
}

// effectiveUID is the second number of the Uid line of /proc/PID/status (proc(5)).
func effectiveUID(status string) int {
	_, rest, _ := strings.Cut(status, "\nUid:")
	line, _, _ := strings.Cut(rest, "\n")
	if ids := strings.Fields(line); len(ids) > 1 {
		if uid, err := strconv.Atoi(ids[1]); err == nil {
			return uid
		}
	}
	return -1
}

// capable looks for a capability in the CapEff line of /proc/PID/status (proc(5)).
func capable(status string, capability int) bool {
	_, rest, _ := strings.Cut(status, "\nCapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	set, _ := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return set>>capability&1 == 1
}

func (f *Facts) observeMounts(mountinfo string) {
	mounts := parseMountinfo(mountinfo)
	var link unix.Stat_t
	switch err := unix.Lstat(mountPoint, &link); err {
	case nil:
		f.Symlink = link.Mode&unix.S_IFMT == unix.S_IFLNK
	default:
		f.Missing = err == unix.ENOENT || err == unix.ENOTDIR
	}
	holder := -1 // the mount that ours is on
	if m, ok := topMount(mounts, mountPoint); ok {
		f.Mount, holder = &m, m.Parent
	} else if m, ok := holdingMount(mounts, mountPoint); ok {
		holder = m.ID
	}
	f.ParentShared = true // of what does not show, below the root of a chroot(2), nothing is known
	for _, m := range mounts {
		if m.ID == holder {
			f.ParentShared = m.shared()
		}
		if f.Mount != nil && m.Parent == f.Mount.ID {
			f.SubMounts = append(f.SubMounts, m.Point)
		}
	}
}

// observeGroups finds the process's own cgroup below the mount. Both the mount's
// root and the path are relative to the reader's cgroup namespace
// (cgroup_namespaces(7)); a root of /.. shows more than that namespace, and then
// the way down is not known.
func (f *Facts) observeGroups() {
	if f.Mount == nil || f.Mount.Type != "cgroup2" || strings.HasPrefix(f.Mount.Root, "/..") || strings.HasPrefix(f.Unified, "/..") {
		return
	}
	path, below := below(f.Unified, f.Mount.Root)
	if !below {
		return
	}
	f.Own = f.group(mountPoint + path)
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		f.Above = f.group(mountPoint + path[:i])
	}
}

// below is the rest of path below root, "" for root itself.
func below(path, root string) (string, bool) {
	path, root = strings.TrimSuffix(path, "/"), strings.TrimSuffix(root, "/")
	rest, ok := strings.CutPrefix(path, root)
	return rest, ok && (rest == "" || rest[0] == '/')
}

func (f *Facts) group(path string) *Group {
	dir, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		f.Errors = append(f.Errors, (&Error{Op: "open", Path: path, Err: err}).Error())
		return nil
	}
	defer unix.Close(dir)
	var fs unix.Statfs_t
	if unix.Fstatfs(dir, &fs) != nil || int64(fs.Type) != unix.CGROUP2_SUPER_MAGIC {
		return nil // something else is mounted there
	}
	g := &Group{Path: path}
	var stat, list unix.Stat_t
	if unix.Fstat(dir, &stat) == nil {
		g.ID, g.Owner, g.Mode = stat.Ino, int(stat.Uid), stat.Mode&0o7777
		g.Writable = f.mayWrite(&stat) && unix.Fstatat(dir, "cgroup.procs", &list, 0) == nil && f.mayWrite(&list)
	}
	kind, err := linux.readFile(dir, "cgroup.type")
	g.Root = is(err, unix.ENOENT)
	g.Type = strings.TrimSpace(kind)
	read := func(name string) []string {
		s, _ := linux.readFile(dir, name)
		return strings.Fields(s)
	}
	g.Controllers, g.Enabled = read("cgroup.controllers"), read("cgroup.subtree_control")
	procs, err := linux.readFile(dir, "cgroup.procs")
	if err != nil {
		g.ProcsErr = err.Error()
	}
	pids, foreign := splitProcs(procs)
	g.Processes, g.Foreign = len(pids), foreign
	return g
}

// overflowUID is the owner that a user namespace shows for those that it has no
// number for (user_namespaces(7)); nobody in it is root over their files.
const overflowUID = 65534

// mayWrite is what the permissions give the process that the facts are about, which
// is not always the caller: access(2) would answer for that.
func (f *Facts) mayWrite(s *unix.Stat_t) bool {
	switch {
	case f.Override && (f.InitialUserNS || s.Uid != overflowUID):
		return true
	case int(s.Uid) == f.UID:
		return s.Mode&unix.S_IWUSR != 0
	}
	return s.Mode&unix.S_IWOTH != 0
}

// Remaining names the processes in the cgroup, as "PID command", at most that many.
// It reads them anew: who does not print it does not pay for it.
func (g *Group) Remaining(most int) (names []string) {
	procs, _ := linux.readFile(unix.AT_FDCWD, g.Path+"/cgroup.procs")
	pids, _ := splitProcs(procs)
	return linux.name(pids, most)
}

// name adds the commands of processes to their numbers.
func (k *kernel) name(pids []string, most int) (names []string) {
	for _, pid := range pids[:min(len(pids), most)] {
		comm, _ := k.readFile(unix.AT_FDCWD, "/proc/"+pid+"/comm")
		names = append(names, strings.TrimSpace(pid+" "+comm))
	}
	return names
}
