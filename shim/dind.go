package shim

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
)

// prepareDind does what hack/dind and docker:dind's entrypoint do besides the cgroups.
// A failure is only logged, because dockerd works without most of these steps and
// reports the others itself. With the mounts of the host it does nothing, because each
// step would change the host.
func (j *job) prepareDind() {
	switch {
	case !j.Dind:
		return
	case onHost():
		j.log.Log(LevelWarn, "docker-in-docker chores skipped", "reason", "this process has, or may have, the mounts of the host")
		return
	}
	j.mountSecurityfs()
	removeStalePidFiles(j.Args, j.log, os.Getpid(), j.orders.PID)
	// Make / shared last. The mounts made so far must not propagate to peers, but the
	// mounts of dockerd have to reach the inner containers (mount_namespaces(7)).
	j.must("mount --make-rshared /", j.kernel.mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""))
}

// onHost is replaced by tests.
var onHost = cgroup.OnHost

func (j *job) must(what string, err error) {
	if err != nil {
		j.log.Log(LevelWarn, "docker-in-docker chore not done", "op", what, "err", err)
	}
}

const securityfs = "/sys/kernel/security"

// mountSecurityfs mounts securityfs. dockerd reads the state of AppArmor and other
// modules there to choose profiles.
func (j *job) mountSecurityfs() {
	const securityfsMagic = 0x73636673 // statfs(2)
	var mounted unix.Statfs_t
	if err := unix.Statfs(securityfs, &mounted); err != nil || int64(mounted.Type) == securityfsMagic {
		return // the kernel has no securityfs, or it is mounted already
	}
	if !cgroup.InitialUserNamespace() {
		return // only the initial user namespace can mount it (security/inode.c lacks FS_USERNS_MOUNT)
	}
	j.must("mount securityfs "+securityfs, j.kernel.mount("none", securityfs, "securityfs", 0, ""))
}

// removeStalePidFiles removes the pid files of a dockerd or containerd that was killed.
// After a restart of the container another process soon has the PID in such a file.
// dockerd then refuses to start.
//
// Other users may write below /run, and a volume there may be shared with other
// containers. So the search follows no link, has an end, waits for nothing, and removes a
// file from the directory that it has looked at. The processes in own are cgshim's, whose
// name may be docker-init.
func removeStalePidFiles(args []string, log Log, own ...int) {
	search := pidSearch{left: mostEntries, seen: map[string]bool{}, found: func(dir int, name, path string) {
		pid, stays := holder(dir, name, own...)
		if stays {
			log.Log(LevelInfo, "pid file kept", "path", path, "pid", pid)
			return
		}
		if err := unix.Unlinkat(dir, name, 0); err != nil {
			log.Log(LevelWarn, "stale pid file not removed", "path", path, "err", err)
			return
		}
		log.Log(LevelInfo, "stale pid file removed", "path", path)
	}}
	search.everywhere(args)
	if search.left == 0 {
		log.Log(LevelWarn, "search for stale pid files cut short", "entries", mostEntries)
	}
}

var pidRoots = []string{"/run", "/var/run"}

// Limits of the search. dockerd puts its pid files at most two levels below /run, and the
// state of a thousand inner containers has some thousand entries.
const (
	mostEntries = 20_000
	mostDepth   = 6
)

// pidSearch looks for pid files.
type pidSearch struct {
	left  int             // number of directory entries that it may still look at
	seen  map[string]bool // paths of the pid files
	found func(dir int, name, path string)
}

// everywhere finds docker*.pid and containerd*.pid below /run, below /var/run and below
// the exec root in args. It adds the file of --pidfile.
func (p *pidSearch) everywhere(args []string) {
	roots := slices.Clone(pidRoots)
	// Only dockerd's options are known.
	if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(path.Base(arg), "dockerd") }) {
		if root := argument(args, "--exec-root"); root != "" {
			roots = append(roots, root)
		}
		if root := argument(args, "--data-root", "-g"); root != "" {
			roots = append(roots, root+"/containerd")
		}
		if file := argument(args, "--pidfile", "-p"); file != "" {
			p.file(file)
		}
	}
	for _, root := range roots {
		p.below(unix.AT_FDCWD, root, root, mostDepth)
	}
}

// file takes the file of --pidfile, whatever its name is.
func (p *pidSearch) file(file string) {
	dir, err := unix.Open(path.Dir(file), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	if name := path.Base(file); fileType(dir, name) == unix.S_IFREG {
		p.take(dir, name, file)
	}
}

func (p *pidSearch) take(dir int, name, path string) {
	if !p.seen[path] {
		p.seen[path] = true
		p.found(dir, name, path)
	}
}

// below finds the pid files below the directory name, whose path is for messages. It
// follows no symbolic links, because /var/run is usually a link to /run.
func (p *pidSearch) below(at int, name, path string, depth int) {
	dir, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err != nil || n == 0 {
			return
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if p.left == 0 {
				return
			}
			p.left--
			p.entry(dir, name, path+"/"+name, depth)
		}
	}
}

func (p *pidSearch) entry(dir int, name, path string, depth int) {
	lower := strings.ToLower(name)
	switch fileType(dir, name) {
	case unix.S_IFDIR:
		if depth > 0 {
			p.below(dir, name, path, depth-1)
		}
	case unix.S_IFREG:
		if strings.HasSuffix(lower, ".pid") && isDaemon(lower) {
			p.take(dir, name, path)
		}
	}
}

func isDaemon(name string) bool {
	return strings.HasPrefix(name, "docker") || strings.HasPrefix(name, "containerd")
}

// holder returns the process that a pid file names, and reports whether the file has to
// stay. The file stays if the daemon is alive, or if the file has other text than a PID.
// An empty file stays unless it has the name of a daemon.
func holder(dir int, name string, own ...int) (pid int, stays bool) {
	text, owner, err := readPidFile(dir, name)
	if err == nil && text == "" { // the daemon was killed before it wrote its PID
		return 0, !isDaemon(path.Base(name))
	}
	pid, notNumber := strconv.Atoi(text)
	if err != nil || notNumber != nil || pid <= 0 {
		return 0, true
	}
	return pid, !slices.Contains(own, pid) && daemonOf(owner, pid)
}

// daemonOf reports whether pid is a daemon of this user. /proc/PID/comm is the name of
// the program, cut to 15 bytes (proc(5)). Any user may give a process that name.
func daemonOf(owner uint32, pid int) bool {
	process := "/proc/" + strconv.Itoa(pid)
	var s unix.Stat_t
	if unix.Stat(process, &s) != nil || s.Uid != owner {
		return false
	}
	comm, err := readFile(process + "/comm")
	return err == nil && isDaemon(comm)
}

// readPidFile reads a regular file that is not larger than a PID. Without O_NONBLOCK, a
// FIFO or the lease of another process would make open(2) wait (fcntl(2)).
func readPidFile(dir int, name string) (text string, owner uint32, err error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", 0, err
	}
	defer unix.Close(fd)
	var s unix.Stat_t
	var buf [64]byte
	if err := unix.Fstat(fd, &s); err != nil || s.Mode&unix.S_IFMT != unix.S_IFREG || s.Size > int64(len(buf)) {
		return "", 0, unix.EINVAL
	}
	n, err := unix.Read(fd, buf[:])
	return strings.TrimSpace(string(buf[:max(n, 0)])), s.Uid, err
}

// argument returns the value of an option in args. It knows --name VALUE and
// --name=VALUE, and -n VALUE and -nVALUE for a short option.
func argument(args []string, names ...string) string {
	for i, arg := range args {
		for _, name := range names {
			value, attached := strings.CutPrefix(arg, name)
			switch {
			case attached && value == "" && i+1 < len(args):
				return args[i+1]
			case attached && strings.HasPrefix(value, "="):
				return value[1:]
			case attached && value != "" && !strings.HasPrefix(name, "--"):
				return value
			}
		}
	}
	return ""
}

// fileType returns the S_IFMT part of a file's mode, or 0 if the file does not exist.
func fileType(dir int, name string) uint32 {
	var s unix.Stat_t
	if unix.Fstatat(dir, name, &s, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT) != nil {
		return 0
	}
	return s.Mode & unix.S_IFMT
}
