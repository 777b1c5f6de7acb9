package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// setups are functions that prepare the environment of a case.
var setups = map[string]func(){
	// A bind mount keeps the mount options of the hierarchy. A new cgroup2 mount from
	// the initial cgroup namespace would reset them for the whole machine.
	"host": func() {
		keepWitness()
		if h := hierarchy(); h != mountPoint {
			must("bind", unix.Mount(h, mountPoint, "", unix.MS_BIND, ""))
		}
	},
	"private": func() {
		h := keepWitness()
		if h != mountPoint {
			must("bind", unix.Mount(h, mountPoint, "", unix.MS_BIND, ""))
		}
		must("unshare", unix.Unshare(unix.CLONE_NEWCGROUP))
		must("umount", unix.Unmount(mountPoint, unix.MNT_DETACH))
		must("mount", unix.Mount("cgroup2", mountPoint, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""))
	},
	// A v1 hierarchy without a controller. The kernel removes the hierarchy together with
	// its last mount, which is in this mount namespace (cgroups(7)).
	"hybrid": func() {
		keepWitness()
		must("mount", unix.Mount("tmpfs", mountPoint, "tmpfs", 0, ""))
		must("mkdir", os.Mkdir(mountPoint+"/named", 0o755))
		must("mount v1", unix.Mount("none", mountPoint+"/named", "cgroup", 0, "none,name=cgshim-test"))
	},
	"unshared": func() { must("unshare", unix.Unshare(unix.CLONE_NEWCGROUP)) },
	"read-only": func() {
		must("remount", unix.Mount("", mountPoint, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""))
	},
	"unprivileged": func() {
		// Drop it from the effective and the permitted set of this thread.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var data [2]unix.CapUserData
		must("capget", unix.Capget(&header, &data[0]))
		data[0].Effective &^= 1 << unix.CAP_SYS_ADMIN
		data[0].Permitted &^= 1 << unix.CAP_SYS_ADMIN
		must("capset", unix.Capset(&header, &data[0]))
	},
	// As taskset does for the program that it starts.
	"bound to the first CPU": func() {
		must("sched_setaffinity", unix.SchedSetaffinity(0, &firstCPU))
	},
	"seccomp ENOSYS": func() { refuseNewMountAPI(unix.ENOSYS) },
	"seccomp EPERM":  func() { refuseNewMountAPI(unix.EPERM) },
	// Go's runtime keeps cpu.max open if it sizes GOMAXPROCS by it.
	"pinned": func() {
		_, err := unix.Open(mountPoint+"/cgroup.controllers", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must("open", err)
	},
	"unmounted": func() { must("umount", unix.Unmount(mountPoint, unix.MNT_DETACH)) },
	"sub-mount": func() {
		must("mount", unix.Mount("tmpfs", mountPoint+"/"+os.Getenv("CGSHIM_TEST_GROUP"), "tmpfs", 0, ""))
	},
	"shared": func() {
		must("share", unix.Mount("", mountPoint, "", unix.MS_SHARED, ""))
		must("mkdir", os.MkdirAll("/tmp/cgshim-peer", 0o755))
		must("bind", unix.Mount(mountPoint, "/tmp/cgshim-peer", "", unix.MS_BIND, ""))
	},
	"slave": func() {
		must("share", unix.Mount("", mountPoint, "", unix.MS_SHARED, ""))
		must("mkdir", os.MkdirAll("/tmp/cgshim-peer", 0o755))
		must("bind", unix.Mount(mountPoint, "/tmp/cgshim-peer", "", unix.MS_BIND, ""))
		must("slave", unix.Mount("", mountPoint, "", unix.MS_SLAVE, ""))
	},
	"symlink": func() {
		must("mount", unix.Mount("tmpfs", "/sys/fs", "tmpfs", 0, ""))
		must("symlink", os.Symlink(witness, mountPoint))
	},
	// The mount shows only the container's cgroup, but the cgroup namespace is the
	// whole machine's.
	"own": func() {
		must("bind", unix.Mount(witness, mountPoint, "", unix.MS_BIND, ""))
	},
	"shared parent": func() { must("share", unix.Mount("", "/sys", "", unix.MS_SHARED|unix.MS_REC, "")) },
	// As in a pod with a Bidirectional volume, where the peers are only the container's.
	"all shared with a host": func() { sharedWithAHost("/") },
	// As with `-v /sys:/sys:rshared`.
	"/sys shared with a host": func() { sharedWithAHost("/sys") },
	"private mount":           func() { must("private", unix.Mount("", mountPoint, "", unix.MS_PRIVATE, "")) },
	"half-done": func() {
		must("enable", os.WriteFile(witness+"/"+subtreeControl, []byte("+pids"), 0))
		if v := look("init"); v.Type != "domain threaded" {
			panic("type " + v.Type)
		}
	},
	"sibling of another": func() { must("mkdir", os.Mkdir(witness+"/spare", 0o755)) },
	"leaf of another":    func() { must("mkdir", os.Mkdir(witness+"/init", 0o755)) },
	"threaded leaf": func() {
		must("mkdir", os.Mkdir(witness+"/init", 0o755))
		must("type", os.WriteFile(witness+"/init/cgroup.type", []byte("threaded"), 0))
	},
	"in the leaf": func() { moveInto("/init", 1) },
	"leaf is used": func() {
		dir, err := os.Open(witness + "/init")
		must("open", err)
		defer dir.Close()
		sleeper(&syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())})
	},
	// Clone a process into the container's cgroup, wherever this process is.
	"visitor": func() {
		dir, err := os.Open(witness)
		must("open", err)
		defer dir.Close()
		sleeper(&syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())})
	},
	// Changes that only the cgroup above allows. outside is a second witness.
	"pids taken away":    func() { must("disable", os.WriteFile(outside+"/"+subtreeControl, []byte("-pids"), 0)) },
	"hugetlb taken away": func() { must("disable", os.WriteFile(outside+"/"+subtreeControl, []byte("-hugetlb"), 0)) },
	"moved out": func() {
		_, err := beside.WriteString("1")
		must("move", err)
	},
	"killed": func() { must("kill", unix.Kill(os.Getpid(), unix.SIGKILL)) },
	"locked": func() {
		must("mkdir", os.Mkdir("/run/cgshim", 0o700))
		fd, err := unix.Open("/run/cgshim", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must("open", err)
		must("flock", unix.Flock(fd, unix.LOCK_EX))
	},
	"moved to the leaf": func() {
		must("mkdir", os.MkdirAll(witness+"/init", 0o755))
		must("move", os.WriteFile(witness+"/init/cgroup.procs", []byte("1"), 0))
	},
	// As another run of cgshim does, while this one waits for the lock.
	"delegated meanwhile": func() {
		moveInto("/init", 1)
		controllers, err := os.ReadFile(witness + "/cgroup.controllers")
		must("read", err)
		must("enable", os.WriteFile(witness+"/"+subtreeControl, []byte(list("+", strings.Fields(string(controllers)))), 0))
	},
	"PID 1 deeper":  func() { moveInto("/init/init", 1) },
	"read-only shm": func() { must("remount", unix.Mount("", "/dev/shm", "", unix.MS_REMOUNT|unix.MS_RDONLY, "")) },
	"read-only run": func() { must("remount", unix.Mount("", "/run", "", unix.MS_REMOUNT|unix.MS_RDONLY, "")) },
	// Like a service of k3s or kubelet after its init has moved deeper.
	"deeper": func() { moveInto("/init/init", 1, os.Getpid()) },
	// The mount is on sysfs, as on a host without v1 hierarchies.
	"plain": func() {
		must("mkdir", os.MkdirAll("/tmp/cgshim-peer", 0o755))
		must("bind", unix.Mount(mountPoint, "/tmp/cgshim-peer", "", unix.MS_BIND, ""))
		for unix.Unmount(mountPoint, unix.MNT_DETACH) == nil {
		}
		must("move", unix.Mount("/tmp/cgshim-peer", mountPoint, "", unix.MS_MOVE, ""))
	},
	// As a service manager in the container does.
	"in a cgroup of its own": func() {
		moveInto("/unit", os.Getpid())
	},
	"sleepers": func() {
		for range 200 {
			sleeper(nil)
		}
	},
	// A runtime gives this to a container with a user namespace: a mount of the
	// hierarchy that was made inside, and a cgroup namespace of its own.
	"userns": func() {
		keepWitness()
		must("unshare", unix.Unshare(unix.CLONE_NEWCGROUP))
		must("mount", unix.Mount("tmpfs", mountPoint, "tmpfs", 0, ""))
		must("mount", unix.Mount("cgroup2", mountPoint, "cgroup2", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RELATIME, ""))
	},
}

var firstCPU = unix.CPUSet{1}

// witness is the directory of the container's cgroup in a mount that no plan touches.
const witness = "/tmp/cgshim-witness"

// outside is the cgroup above the container's cgroup.
const outside = "/tmp/cgshim-outside"

// beside is cgroup.procs of a cgroup beside the container's cgroup. With nsdelegate, a
// process may write it only through a descriptor that was opened outside of the
// namespace.
var beside *os.File

// keepWitness binds the container's cgroup to another place.
func keepWitness() string {
	h := hierarchy()
	must("mkdir", os.MkdirAll(witness, 0o777))
	own := h + "/" + os.Getenv("CGSHIM_TEST_GROUP")
	must("bind", unix.Mount(own, witness, "", unix.MS_BIND, ""))
	must("mkdir", os.MkdirAll(outside, 0o777))
	must("bind", unix.Mount(filepath.Dir(own), outside, "", unix.MS_BIND, ""))
	beside, _ = os.OpenFile(outside+"/beside/cgroup.procs", os.O_WRONLY, 0)
	return h
}

// host is a process in the mount namespace that this process was in before
// sharedWithAHost, or 0.
var (
	host       int
	hostBefore string // its mounts
)

// sharedWithAHost shares the mounts from point on, and leaves the mount namespace. The
// old namespace is like a host's: its mounts are peers of the new one's.
func sharedWithAHost(point string) {
	must("share", unix.Mount("", point, "", unix.MS_SHARED|unix.MS_REC, ""))
	host = sleeper(nil)
	must("unshare", unix.Unshare(unix.CLONE_NEWNS))
	hostBefore = mountsOfTheHost()
}

// mountsOfTheHost returns a line for each mount, without its root, which mountinfo shows
// relative to the reader's cgroup namespace.
func mountsOfTheHost() string {
	if host == 0 {
		return ""
	}
	mountinfo, err := os.ReadFile("/proc/" + strconv.Itoa(host) + "/mountinfo")
	must("read", err)
	var b strings.Builder
	for _, m := range parseMountinfo(string(mountinfo), everywhere) {
		fmt.Fprintln(&b, m.ID, m.Parent, m.Point, m.Options, m.Propagates, m.Type)
	}
	return b.String()
}

// refuseNewMountAPI installs a seccomp filter that answers errno to the mount calls of
// Linux 5.2, as the profile of an old runtime does (seccomp(2)).
func refuseNewMountAPI(errno syscall.Errno) {
	const loadNumber = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS // seccomp_data.nr is at 0
	calls := []uint32{unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_MOVE_MOUNT}
	filter := []unix.SockFilter{{Code: loadNumber}}
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: nr})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	must("no_new_privs", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	must("seccomp", unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0))
}

// moveInto makes a cgroup below the container's and moves processes into it.
func moveInto(group string, pids ...int) {
	must("mkdir", os.Mkdir(witness+group, 0o755))
	for _, pid := range pids {
		must("move", os.WriteFile(witness+group+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0))
	}
}
