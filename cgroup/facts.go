package cgroup

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountPoint is where container software expects cgroup v2.
const mountPoint = "/sys/fs/cgroup"

// Inodes of the initial namespaces. They are constant since Linux 3.8, and for the
// mount namespace since 6.18. Every other namespace gets a higher inode
// (include/linux/proc_ns.h, include/uapi/linux/nsfs.h).
const (
	InitialCgroupNamespace = 4026531835
	initialPIDNamespace    = 4026531836
	initialMountNamespace  = 4026531832
)

// Facts describes the environment of a process as far as cgroups need it.
type Facts struct {
	PID           int      `json:"pid"`
	Parent        int      `json:"parent"`  // 0 if the parent is outside of the PID namespace
	Session       int      `json:"session"` // 0 if the session leader is outside of the PID namespace
	UID           int      `json:"uid"`     // UID and GID for file access
	GID           int      `json:"gid"`
	Groups        []int    `json:"groups,omitempty"`
	Kernel        string   `json:"kernel"`
	IDMap         string   `json:"uid_map"` // "" if unknown
	InitialUserNS bool     `json:"initial_user_namespace"`
	SysAdmin      bool     `json:"cap_sys_admin"`
	Override      bool     `json:"cap_dac_override"`
	CgroupNS      uint64   `json:"cgroup_namespace"` // inode of the namespace, or 0 if unknown, here and below
	PIDNS         uint64   `json:"pid_namespace"`
	MountNS       uint64   `json:"mount_namespace"`
	OnHost        bool     `json:"on_host"`                // the mount namespace is the host's, or may be
	HostUnseen    bool     `json:"host_unseen"`            // it may be, because the mounts of the host's PID 1 cannot be seen
	Unified       string   `json:"cgroup"`                 // path in the v2 line of /proc/PID/cgroup
	Container     string   `json:"container_id"`           // the ID that the runtime has given to the container, or "" if nothing shows it
	Unreadable    string   `json:"cgroup_error,omitempty"` // why /proc/PID/cgroup cannot be read
	Init          string   `json:"init_cgroup"`            // path of PID 1, if PID 1 is another process with the same mounts
	InitSession   int      `json:"init_session"`           // session of PID 1, in the same case
	Elsewhere     bool     `json:"init_has_other_mounts"`  // PID 1 is in another container, or on the host
	First         bool     `json:"first_process"`          // set with Elsewhere only, if no process of the own cgroup is older
	V1            []string `json:"v1,omitempty"`           // v1 hierarchies that this process is in
	Missing       bool     `json:"missing"`                // /sys/fs/cgroup does not exist
	Symlink       bool     `json:"symlink"`                // /sys/fs/cgroup is a symbolic link
	Mount         *Mount   `json:"mount"`                  // the mount at /sys/fs/cgroup, or nil
	Under         *Mount   `json:"mount_covered"`          // the mount at /sys/fs/cgroup that Mount is on, or nil
	Holder        *Mount   `json:"mount_above"`            // the mount that Mount is on, or nil if there is none or another mount covers it
	Ground        *Mount   `json:"mount_below"`            // the mount below all mounts at /sys/fs/cgroup, or nil as for Holder
	ParentShared  bool     `json:"parent_shared"`          // the mount that holds /sys/fs/cgroup propagates, or is not visible
	SharedRooms   []string `json:"shared_rooms,omitempty"` // rooms (see rooms) whose mount propagates
	SubMounts     []string `json:"sub_mounts,omitempty"`
	Own           *Group   `json:"own"`             // the process's cgroup, or nil if the mount does not show it
	Above         []*Group `json:"above,omitempty"` // the visible cgroups above Own, the nearest first
	Strangers     int      `json:"strangers"`       // number of processes of other PID namespaces beside the leaf of a delegated mount
	Kept          *Kept    `json:"kept"`            // what an earlier run of cgshim has noted
	Errors        []string `json:"errors,omitempty"`
}

// Group is a cgroup directory.
type Group struct {
	Path           string   `json:"path"`
	ID             uint64   `json:"id"`   // the inode, which eBPF and Tetragon call the cgroup id
	Root           bool     `json:"root"` // the real root of the hierarchy, which has no cgroup.type (the kernel document, "Core Interface Files")
	Type           string   `json:"type"`
	Controllers    []string `json:"controllers"`
	Enabled        []string `json:"subtree_control"`
	Processes      int      `json:"processes"`
	Foreign        int      `json:"foreign_processes"`
	Writable       bool     `json:"writable"`
	Owner          int      `json:"owner"`
	Group          int      `json:"group"`
	Mode           uint32   `json:"mode"`
	MaxDepth       string   `json:"max_depth"`
	MaxDescendants string   `json:"max_descendants"`
	ProcsErr       string   `json:"procs_error,omitempty"`
}

// Kept names the container's cgroup and its leaf as an earlier run of cgshim has noted
// them (see keepStep).
type Kept struct {
	ID     uint64 `json:"id"`
	Leaf   string `json:"leaf"`
	Holder int    `json:"holder"` // ID of the mount that placeTucked was making shared, or 0
	Room   string `json:"room"`   // where placeTucked was mounting a peer of it
}

// Observe collects the facts about this process. It changes nothing and never fails.
// Facts that it cannot read are zero, and Errors names them.
func Observe() *Facts { return linux.observe("self") }

// ObserveEntry collects the facts about the container's entry point, as far as the
// caller may read them. The entry point is PID 1. If PID 1 has other mounts, PID 1
// belongs to another container, and the entry point is the first process of this
// container. ObserveEntry returns nil if the entry point is the caller or is not
// visible. The cgroup path and the mount's root are relative to the caller's cgroup
// namespace (cgroup_namespaces(7)).
func ObserveEntry() *Facts { return linux.observeEntry() }

// InitialUserNamespace reports whether this process is in the host's user namespace.
func InitialUserNamespace() bool {
	content, _ := linux.readFile(unix.AT_FDCWD, "/proc/self/uid_map")
	return isInitialMap(content)
}

func (k *kernel) observeEntry() *Facts {
	self := k.observe("self")
	pid := self.PID
	switch {
	case self.PID == 1:
	case self.Init != "":
		pid = 1
	case self.Elsewhere && self.Own != nil:
		mounts, _ := k.readFile(unix.AT_FDCWD, "/proc/self/mountinfo")
		pid = k.oldest(self, func(pid int) bool {
			same, readable := k.sameMounts(mounts, pid)
			return same && readable
		})
	}
	if pid == self.PID {
		return nil
	}
	f := k.observe(strconv.Itoa(pid))
	if f.Unified == "" {
		return nil
	}
	return f
}

// sameMounts reports whether pid is in the mount namespace of this process. It compares
// the IDs of the mounts, which are unique. Every process may read the IDs, but not every
// process may read the inode of another process's namespace.
func (k *kernel) sameMounts(own string, pid int) (same, readable bool) {
	other, err := k.readFile(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/mountinfo")
	return other == own, err == nil && own != "" && other != ""
}

// observe collects the facts about the process that has this name in /proc, which is
// "self" or a number.
func (k *kernel) observe(name string) *Facts {
	o := observation{kernel: k, Facts: new(Facts)}
	o.process("/proc/"+name, name == "self")
	return o.Facts
}

// observation collects facts.
type observation struct {
	*kernel
	*Facts
}

func (o *observation) process(proc string, self bool) {
	var uname unix.Utsname
	if o.uname(&uname) == nil {
		o.Kernel = unix.ByteSliceToString(uname.Release[:])
	}
	o.membership(proc)
	cred := parseStatus(o.file(proc + "/status"))
	o.UID, o.GID, o.Groups = cred.uid, cred.gid, cred.groups
	o.SysAdmin, o.Override = cred.capable(unix.CAP_SYS_ADMIN), cred.capable(unix.CAP_DAC_OVERRIDE)
	o.IDMap = strings.Join(strings.Fields(o.file(proc+"/uid_map")), " ")
	o.InitialUserNS = isInitialMap(o.IDMap)
	o.CgroupNS = o.namespace(proc, "cgroup")
	o.PIDNS = o.namespace("/proc/self", "pid")
	o.MountNS = o.namespace("/proc/self", "mnt")
	mounts := o.file(proc + "/mountinfo")
	if self {
		// /proc may show another PID namespace.
		o.PID, o.Parent = o.subject()
		o.Session, _ = o.getsid(o.PID)
	} else {
		o.PID, _ = strconv.Atoi(strings.TrimPrefix(proc, "/proc/"))
		stat, _ := parseStat(o.file(proc + "/stat"))
		o.Parent, o.Session = stat.parent, stat.session
	}
	o.host()
	o.mounts(mounts)
	o.groups()
	if o.PID != 1 {
		o.init(mounts)
	}
	o.kept()
	o.strangers()
}

// membership reads the process's cgroups. If the file is missing from a working /proc,
// the kernel has no cgroups, which is not an error.
func (o *observation) membership(proc string) {
	content, err := o.readFile(unix.AT_FDCWD, proc+"/cgroup")
	var s unix.Stat_t
	if err != nil && !(is(err, unix.ENOENT) && o.lstat(proc+"/status", &s) == nil) {
		o.Unreadable = err.Error()
		o.Errors = append(o.Errors, err.Error())
	}
	member := parseMembership(content)
	o.Unified, o.V1 = member.unified, member.v1
}

// init looks at PID 1, if PID 1 is another process.
func (o *observation) init(mounts string) {
	same, readable := o.sameMounts(mounts, 1)
	o.Elsewhere = readable && !same
	if same && readable {
		content, _ := o.readFile(unix.AT_FDCWD, "/proc/1/cgroup")
		o.Init = parseMembership(content).unified
		o.InitSession, _ = o.getsid(1)
	}
	// Compare with every process, because an exec may have mounts of its own.
	o.First = o.Elsewhere && o.Own != nil && o.oldest(o.Facts, func(int) bool { return true }) == o.PID
}

// oldest returns the oldest accepted process in the cgroup of the process of f. It
// returns f.PID if no accepted process is older than the process of f.
func (k *kernel) oldest(f *Facts, accepted func(pid int) bool) int {
	procs, _ := k.readFile(unix.AT_FDCWD, f.Own.Path+"/cgroup.procs")
	pids, _ := splitProcs(procs)
	oldest, since := f.PID, k.start(f.PID)
	for _, text := range pids {
		pid, _ := strconv.Atoi(text)
		start := k.start(pid)
		if start > 0 && (start < since || start == since && pid < oldest) && accepted(pid) {
			oldest, since = pid, start
		}
	}
	return oldest
}

// start returns the start time of a process, or 0 if it cannot be read.
func (k *kernel) start(pid int) uint64 {
	content, _ := k.readFile(unix.AT_FDCWD, "/proc/"+strconv.Itoa(pid)+"/stat")
	stat, _ := parseStat(content)
	return stat.start
}

// OnHost reports whether this process has the host's mounts. It says so too if PID 1 is
// the host's and its mounts cannot be seen.
func OnHost() bool { return linux.onHost().OnHost }

func (k *kernel) onHost() *Facts {
	o := observation{kernel: k, Facts: new(Facts)}
	o.PIDNS, o.MountNS = o.namespace("/proc/self", "pid"), o.namespace("/proc/self", "mnt")
	o.host()
	return o.Facts
}

// host decides whether this process has the host's mounts, which are the mounts of PID
// 1 of the initial PID namespace. After `unshare --pid` alone, /proc still shows the
// initial PID namespace, in which this process has another PID.
func (o *observation) host() {
	var link [16]byte
	n, err := o.readlink("/proc/self", link[:])
	foreign := err == nil && string(link[:n]) != strconv.Itoa(o.getpid())
	if o.PIDNS == initialPIDNamespace || foreign {
		init := o.namespace("/proc/1", "mnt")
		o.OnHost, o.HostUnseen = init == 0 || init == o.MountNS, init == 0
	}
	if o.MountNS == initialMountNamespace {
		o.OnHost, o.HostUnseen = true, false
	}
}

// file returns the content of a file. On failure it returns "" and notes the error.
func (o *observation) file(name string) string {
	s, err := o.readFile(unix.AT_FDCWD, name)
	if err != nil {
		o.Errors = append(o.Errors, err.Error())
	}
	return s
}

// namespace returns the inode of a namespace, or 0 if it cannot be read.
func (o *observation) namespace(proc, name string) uint64 {
	var s unix.Stat_t
	file := proc + "/ns/" + name
	if err := o.stat(file, &s); err != nil {
		o.Errors = append(o.Errors, (&Error{Op: "stat", Path: file, Err: err}).Error())
	}
	return s.Ino
}

func (o *observation) mounts(mountinfo string) {
	mounts := parseMountinfo(mountinfo, concerns)
	o.Container = containerID(o.Unified, mounts)
	var link unix.Stat_t
	switch err := o.lstat(mountPoint, &link); err {
	case nil:
		o.Symlink = link.Mode&unix.S_IFMT == unix.S_IFLNK
	default:
		o.Missing = err == unix.ENOENT || err == unix.ENOTDIR
	}
	holder := -1 // the mount that o.Mount is on
	if m, ok := topMount(mounts, mountPoint); ok {
		o.Mount, holder = &m, m.Parent
	} else if m, ok := holdingMount(mounts, mountPoint); ok {
		holder = m.ID
	}
	for _, room := range rooms {
		if m, _ := holdingMount(mounts, room+"/"+pinName); m.shared() {
			o.SharedRooms = append(o.SharedRooms, room)
		}
	}
	o.Holder = visible(mounts, holder)
	stack := map[int]int{} // the mounts at /sys/fs/cgroup, and the mount that each is on
	for _, m := range mounts {
		if m.Point == mountPoint {
			stack[m.ID] = m.Parent
		}
	}
	ground := holder
	for range stack { // no more steps than mounts, should two be on each other
		if on, found := stack[ground]; found {
			ground = on
		}
	}
	o.Ground = visible(mounts, ground)
	o.ParentShared = true // below the root of a chroot(2) the holder may be invisible
	for _, m := range mounts {
		if m.ID == holder {
			o.ParentShared = m.shared()
			if m.Point == mountPoint {
				o.Under = &m
			}
		}
		if o.Mount != nil && m.Parent == o.Mount.ID {
			o.SubMounts = append(o.SubMounts, m.Point)
		}
	}
}

// concerns reports whether a mount at point can hold, cover or be the mount at
// /sys/fs/cgroup, is below it, can hold a room, or can show the container's ID.
func concerns(point string) bool {
	holds := func(dir string) bool {
		_, ok := below(dir, point)
		return ok
	}
	_, inside := below(point, mountPoint)
	return inside || holds(mountPoint) || slices.ContainsFunc(rooms, holds) || slices.Contains(idFiles, point)
}

// visible returns the mount with this ID, if no other mount covers it.
func visible(mounts []Mount, id int) *Mount {
	for _, m := range mounts {
		if m.ID != id {
			continue
		}
		if top, _ := topMount(mounts, m.Point); top.ID == id {
			return &m
		}
	}
	return nil
}

// groups finds the process's own cgroup below the mount, and the cgroups above it. Both
// the mount's root and the path of the cgroup are relative to the reader's cgroup
// namespace (cgroup_namespaces(7)). If the mount's root begins with /.., the mount shows
// cgroups above that namespace. The way from the root to the own cgroup is then unknown.
func (o *observation) groups() {
	if o.Mount == nil || o.Mount.Type != "cgroup2" || strings.HasPrefix(o.Mount.Root, "/..") || strings.HasPrefix(o.Unified, "/..") {
		return
	}
	if _, ok := below(o.Unified, o.Mount.Root); !ok {
		return
	}
	path := o.path()
	o.Own = o.group(path)
	for path != mountPoint {
		path = path[:strings.LastIndexByte(path, '/')]
		if g := o.group(path); g != nil {
			o.Above = append(o.Above, g)
		}
	}
}

// path returns the directory of the own cgroup.
func (f *Facts) path() string {
	path, _ := below(f.Unified, f.Mount.Root)
	return mountPoint + path
}

func (o *observation) group(path string) *Group {
	dir, err := o.openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		o.Errors = append(o.Errors, (&Error{Op: "open", Path: path, Err: err}).Error())
		return nil
	}
	defer o.close(dir)
	var fs unix.Statfs_t
	if o.fstatfs(dir, &fs) != nil || int64(fs.Type) != unix.CGROUP2_SUPER_MAGIC {
		return nil // another file system is mounted there
	}
	g := &Group{Path: path}
	var stat unix.Stat_t
	if o.fstat(dir, &stat) == nil {
		g.ID, g.Owner, g.Group, g.Mode = stat.Ino, int(stat.Uid), int(stat.Gid), stat.Mode&0o7777
		g.Writable = o.mayWrite(&stat)
	}
	// A delegation gives these files to another user (the kernel document, "Model of
	// Delegation").
	for _, name := range []string{"cgroup.procs", subtreeControl} {
		g.Writable = g.Writable && o.fstatat(dir, name, &stat, 0) == nil && o.mayWrite(&stat)
	}
	kind, err := o.readFile(dir, "cgroup.type")
	g.Root = is(err, unix.ENOENT)
	g.Type = strings.TrimSpace(kind)
	read := func(name string) string {
		s, _ := o.readFile(dir, name)
		return strings.TrimSpace(s)
	}
	g.Controllers, g.Enabled = strings.Fields(read("cgroup.controllers")), strings.Fields(read(subtreeControl))
	g.MaxDepth, g.MaxDescendants = read("cgroup.max.depth"), read("cgroup.max.descendants")
	procs, err := o.readFile(dir, "cgroup.procs")
	if err != nil {
		g.ProcsErr = err.Error()
	}
	pids, foreign := o.split(procs)
	g.Processes, g.Foreign = len(pids), foreign
	return g
}

// overflowID is the owner and the group that a user namespace shows for IDs without a
// mapping (user_namespaces(7)).
const overflowID = 65534

// mayWrite reports whether the permissions let the process of f write. access(2) would
// not help, because that process may not be the caller. The owner has only the owner's
// permissions, and a member of the group only the group's (path_resolution(7)).
// CAP_DAC_OVERRIDE counts if the user namespace maps both the owner and the group
// (kernel/capability.c, capable_wrt_inode_uidgid).
func (f *Facts) mayWrite(s *unix.Stat_t) bool {
	owned, grouped := f.InitialUserNS || s.Uid != overflowID, f.InitialUserNS || s.Gid != overflowID
	switch {
	case f.Override && owned && grouped:
		return true
	case owned && int(s.Uid) == f.UID:
		return s.Mode&unix.S_IWUSR != 0
	case grouped && (int(s.Gid) == f.GID || slices.Contains(f.Groups, int(s.Gid))):
		return s.Mode&unix.S_IWGRP != 0
	}
	return s.Mode&unix.S_IWOTH != 0
}

// kept reads the note of an earlier run with the same mounts. The outermost cgroup with
// such a note is the container's.
func (o *observation) kept() {
	for _, g := range append([]*Group{o.Own}, o.Above...) {
		if g == nil {
			continue
		}
		if n, ok := o.readNote(g.Path); ok && n.mountNS == o.MountNS {
			o.Kept = &Kept{ID: g.ID, Leaf: n.leaf, Holder: n.holder, Room: g.Path + "/" + n.leaf}
		}
	}
	for _, err := range o.foreignRooms() {
		o.Errors = append(o.Errors, err.Error())
	}
}

// strangers counts the processes that the kernel shows as 0 beside the leaf of a
// delegated cgroup. It looks only if the mount begins at this cgroup, and it descends
// into cgroups with the name of a leaf. Processes of inner containers have a PID here,
// because their PID namespaces are below this process's PID namespace. So a leaf that
// holds processes of a PID namespace above belongs to another container.
func (o *observation) strangers() {
	top := o.top()
	if top == nil || top.Root || !top.delegated() {
		return
	}
	own, _ := below(o.path(), top.Path)
	leaf, _, _ := strings.Cut(own[1:], "/")
	o.Strangers = o.foreign(top.Path, leaf)
}

func (k *kernel) foreign(dir, except string) (n int) {
	names, _ := k.entries(dir)
	for _, name := range names {
		if name == except {
			continue
		}
		procs, err := k.readFile(unix.AT_FDCWD, dir+"/"+name+"/cgroup.procs")
		if err != nil {
			continue // a file, or a threaded cgroup
		}
		_, foreign := splitProcs(procs)
		n += foreign
		if known(name) {
			n += k.foreign(dir+"/"+name, "")
		}
	}
	return n
}

// top returns the cgroup at the mount's root, if the own cgroup is below it.
func (f *Facts) top() *Group {
	if n := len(f.Above); n > 0 && f.Above[n-1].Path == mountPoint {
		return f.Above[n-1]
	}
	return nil
}

// Remaining returns up to most processes of the cgroup, each as "PID command". It reads
// the commands when it is called, because few callers print them.
func (g *Group) Remaining(most int) (names []string) {
	procs, _ := linux.readFile(unix.AT_FDCWD, g.Path+"/cgroup.procs")
	pids, _ := linux.split(procs)
	return linux.name(pids, most)
}

// name adds the command of each process to its PID. It quotes the command, because a
// process may give itself any name.
func (k *kernel) name(pids []string, most int) (names []string) {
	for _, pid := range pids[:min(len(pids), most)] {
		comm, _ := k.readFile(unix.AT_FDCWD, "/proc/"+pid+"/comm")
		names = append(names, strings.TrimSpace(pid+" "+Quote(strings.TrimSuffix(comm, "\n"))))
	}
	return names
}

// Quote returns s, in quotes if s is not a plain word.
func Quote(s string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-_.:/+@()[]~", r)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return strconv.Quote(s)
	}
	return s
}
