package shim

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/cgroup"
	"github.com/cgshim/cgshim/shim/process"
)

// prepareDind does what hack/dind and docker:dind's entrypoint do besides the
// cgroups. Nothing of it is fatal: dockerd works without most of it, and says
// what it misses better than we can.
func (s *shim) prepareDind() {
	if s.Dind {
		s.mountSecurityfs()
		removeStalePidFiles(s.Args, s.log)
	}
	if s.TmpTmpfs {
		s.mountTmp()
	}
	if s.Dind {
		// Last: the mounts above must not propagate to peers, but the ones that
		// dockerd makes have to reach the inner containers (mount_namespaces(7)).
		s.must("mount --make-rshared /", s.mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""))
	}
}

func (s *shim) must(what string, err error) {
	if err != nil {
		s.log.Log(LevelWarn, "docker-in-docker chore not done", "op", what, "err", err)
	}
}

const securityfs = "/sys/kernel/security"

// mountSecurityfs shows AppArmor's and the other modules' state, which dockerd
// reads to decide on profiles.
func (s *shim) mountSecurityfs() {
	const securityfsMagic = 0x73636673 // statfs(2)
	var mounted unix.Statfs_t
	if err := unix.Statfs(securityfs, &mounted); err != nil || int64(mounted.Type) == securityfsMagic {
		return // the kernel has none, or it is there already
	}
	if !cgroup.InitialUserNamespace() {
		return // only the initial one can mount it (security/inode.c: no FS_USERNS_MOUNT)
	}
	s.must("mount securityfs "+securityfs, s.mount("none", securityfs, "securityfs", 0, ""))
}

// mountTmp puts a tmpfs on /tmp, as hack/dind does for its archive tests.
func (s *shim) mountTmp() {
	var tmp, root unix.Stat_t
	if err := unix.Stat("/tmp", &tmp); err != nil {
		s.must("stat /tmp", err)
		return
	}
	// Another device than its parent's makes it a mount point; a bind mount of the
	// same file system shows in mountinfo alone.
	if unix.Stat("/", &root) == nil && (tmp.Dev != root.Dev || isMountPoint("/tmp")) {
		return
	}
	s.must("mount tmpfs /tmp", s.mount("none", "/tmp", "tmpfs", 0, ""))
}

// isMountPoint looks for dir in the fifth field of /proc/self/mountinfo.
func isMountPoint(dir string) bool {
	data, _ := process.ReadFile("/proc/self/mountinfo")
	for _, line := range strings.Split(string(data), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == dir {
			return true
		}
	}
	return false
}

// removeStalePidFiles deletes the pid files that a killed dockerd or containerd
// left: in a restarted container their numbers are soon some other process's,
// and dockerd then refuses to start.
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

// pidFiles finds docker*.pid and containerd*.pid below /run, /var/run and the
// exec root that args name, and the very file of --pidfile.
func pidFiles(args []string) []string {
	roots := slices.Clone(pidRoots)
	var files []string
	// What the options of another program mean is not known.
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

// findPidFiles adds the pid files below dir to files. It follows no links:
// /var/run is most often one to /run.
func findPidFiles(dir string, files []string) []string {
	if fileType(dir) != unix.S_IFDIR {
		return files
	}
	for _, name := range process.Entries(dir) {
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

// holder is the process that a pid file names, and whether the file has to stay: for a
// daemon that is alive, or because it is no pid file. proc(5): comm is the program's
// name, cut to 15 bytes.
func holder(file string) (pid int, stays bool) {
	data, err := process.ReadFile(file)
	text := strings.TrimSpace(string(data))
	if err == nil && text == "" { // it was killed before it wrote its number
		return 0, !isDaemon(path.Base(file))
	}
	pid, notNumber := strconv.Atoi(text)
	if err != nil || notNumber != nil || pid <= 0 {
		return 0, true
	}
	comm, err := process.ReadFile("/proc/" + text + "/comm")
	return pid, err == nil && isDaemon(string(comm)) && pid != os.Getpid()
}

// argument is the value of an option in args: --name VALUE, --name=VALUE, and
// -n VALUE or -nVALUE for a short one.
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

// fileType is the S_IFMT part of a file's mode, 0 if there is no such file.
func fileType(file string) uint32 {
	var s unix.Stat_t
	if unix.Lstat(file, &s) != nil {
		return 0
	}
	return s.Mode & unix.S_IFMT
}
