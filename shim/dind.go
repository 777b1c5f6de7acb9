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
// reports the others itself.
func (j *job) prepareDind() {
	if j.Dind {
		j.mountSecurityfs()
		removeStalePidFiles(j.Args, j.log)
	}
	if j.TmpTmpfs {
		j.mountTmp()
	}
	if j.Dind {
		// Make / shared last. The mounts made so far must not propagate to peers, but
		// the mounts of dockerd have to reach the inner containers
		// (mount_namespaces(7)).
		j.must("mount --make-rshared /", j.kernel.mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""))
	}
}

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

// mountTmp mounts a tmpfs on /tmp. hack/dind does so for its archive tests.
func (j *job) mountTmp() {
	var tmp, root unix.Stat_t
	if err := unix.Stat("/tmp", &tmp); err != nil {
		j.must("stat /tmp", err)
		return
	}
	// /tmp is a mount point if its device is not the device of /. A bind mount of the
	// same file system shows only in mountinfo.
	if unix.Stat("/", &root) == nil && (tmp.Dev != root.Dev || isMountPoint("/tmp")) {
		return
	}
	j.must("mount tmpfs /tmp", j.kernel.mount("none", "/tmp", "tmpfs", 0, ""))
}

// isMountPoint reports whether dir is a mount point, the fifth field of
// /proc/self/mountinfo.
func isMountPoint(dir string) bool {
	data, _ := readFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(data), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == dir {
			return true
		}
	}
	return false
}

// removeStalePidFiles removes the pid files of a dockerd or containerd that was killed.
// After a restart of the container another process soon has the PID in such a file.
// dockerd then refuses to start.
func removeStalePidFiles(args []string, log Log) {
	for _, file := range pidFiles(args) {
		if pid, stays := holder(file); stays {
			log.Log(LevelInfo, "pid file kept", "path", file, "pid", pid)
			continue
		}
		if err := unix.Unlink(file); err != nil {
			log.Log(LevelWarn, "stale pid file not removed", "path", file, "err", err)
			continue
		}
		log.Log(LevelInfo, "stale pid file removed", "path", file)
	}
}

var pidRoots = []string{"/run", "/var/run"}

// pidFiles finds docker*.pid and containerd*.pid below /run, below /var/run and below
// the exec root in args. It adds the file of --pidfile.
func pidFiles(args []string) []string {
	roots := slices.Clone(pidRoots)
	var files []string
	// Only dockerd's options are known.
	if slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(path.Base(arg), "dockerd") }) {
		if root := argument(args, "--exec-root"); root != "" {
			roots = append(roots, root)
		}
		if root := argument(args, "--data-root", "-g"); root != "" {
			roots = append(roots, root+"/containerd")
		}
		if file := argument(args, "--pidfile", "-p"); fileType(file) == unix.S_IFREG {
			files = append(files, file)
		}
	}
	for _, root := range roots {
		files = findPidFiles(root, files)
	}
	return files
}

// findPidFiles adds the pid files below dir to files. It follows no symbolic links,
// because /var/run is usually a link to /run.
func findPidFiles(dir string, files []string) []string {
	if fileType(dir) != unix.S_IFDIR {
		return files
	}
	names, _ := entries(dir)
	for _, name := range names {
		file := dir + "/" + name
		kind := fileType(file)
		lower := strings.ToLower(name)
		switch {
		case kind == unix.S_IFDIR:
			files = findPidFiles(file, files)
		case kind == unix.S_IFREG && strings.HasSuffix(lower, ".pid") && isDaemon(lower) && !slices.Contains(files, file):
			files = append(files, file)
		}
	}
	return files
}

func isDaemon(name string) bool {
	return strings.HasPrefix(name, "docker") || strings.HasPrefix(name, "containerd")
}

// holder returns the process that a pid file names, and reports whether the file has to
// stay. The file stays if the daemon is alive, or if the file has other text than a PID.
// An empty file stays unless it has the name of a daemon. /proc/PID/comm is the name of
// the program, cut to 15 bytes (proc(5)).
func holder(file string) (pid int, stays bool) {
	data, err := readFile(file)
	text := strings.TrimSpace(string(data))
	if err == nil && text == "" { // the daemon was killed before it wrote its PID
		return 0, !isDaemon(path.Base(file))
	}
	pid, notNumber := strconv.Atoi(text)
	if err != nil || notNumber != nil || pid <= 0 {
		return 0, true
	}
	comm, err := readFile("/proc/" + text + "/comm")
	return pid, err == nil && isDaemon(string(comm)) && pid != os.Getpid()
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
func fileType(file string) uint32 {
	var s unix.Stat_t
	if unix.Lstat(file, &s) != nil {
		return 0
	}
	return s.Mode & unix.S_IFMT
}
