package shim

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim/pid1"
)

// orderProgram says what PID 1 has to execute.
func (j *job) orderProgram() {
	p := &pid1.Program{Args: j.Args, Env: j.environment(), ListenPID: -1, ListenID: -1}
	if path, set := LookupEnv(p.Env, "PATH"); set {
		p.Path = &path
	}
	// sd_listen_fds(3) in the program uses inherited descriptors only if these variables
	// name the program. If they name PID 1, the program gets its own numbers.
	if !j.Exec {
		p.ListenPID = variable(p.Env, "LISTEN_PID", strconv.Itoa(j.orders.PID))
		if _, set := LookupEnv(p.Env, "LISTEN_PIDFDID"); set {
			p.ListenID = variable(p.Env, "LISTEN_PIDFDID", pidfdID(j.orders.PID))
		}
	}
	if dir, err := os.Getwd(); err == nil {
		j.orders.SetDir(dir)
	}
	j.orders.SetProgram(p)
}

// environment returns the variables for the program. As hack/dind does, --dind sets the
// variable container where it is not set or empty. containerd looks at it before it uses
// AppArmor.
func (j *job) environment() []string {
	if !j.Dind {
		return j.Env
	}
	const setting = "container=docker"
	for i, entry := range j.Env {
		if value, found := strings.CutPrefix(entry, "container="); found {
			if value != "" {
				return j.Env
			}
			env := slices.Clone(j.Env)
			env[i] = setting
			return env
		}
	}
	return append(slices.Clone(j.Env), setting)
}

// variable returns the place of the variable if it has this value. getenv(3) uses the first
// entry.
func variable(env []string, name, value string) int {
	for i, entry := range env {
		if found, ok := strings.CutPrefix(entry, name+"="); ok {
			if found == value && value != "" {
				return i
			}
			break
		}
	}
	return -1
}

// pidfdID returns the inode of a pidfd of a process, which is unique since boot (Linux 6.9,
// pidfs).
func pidfdID(pid int) string {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var s unix.Stat_t
	if unix.Fstat(fd, &s) != nil {
		return ""
	}
	return strconv.FormatUint(s.Ino, 10)
}

// LookupEnv returns the value of key in env. As with getenv(3), the first entry counts.
func LookupEnv(env []string, key string) (string, bool) {
	for _, entry := range env {
		if value, found := strings.CutPrefix(entry, key+"="); found {
			return value, true
		}
	}
	return "", false
}

// searchPath returns the files that execvp(3) would try for name, in order. PID 1 does the
// same (pid1/spawn.go).
func searchPath(name string, env []string) []string {
	if name == "" || strings.Contains(name, "/") {
		return []string{name}
	}
	path, set := LookupEnv(env, "PATH")
	if !set {
		path = "/bin:/usr/bin"
	}
	var files []string
	for dir := range strings.SplitSeq(path, ":") {
		switch {
		case len(dir) >= unix.PathMax:
		case dir == "":
			files = append(files, name)
		default:
			files = append(files, dir+"/"+name)
		}
	}
	return files
}
