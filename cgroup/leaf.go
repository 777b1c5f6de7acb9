package cgroup

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultLeaf is the name of the leaf if the container's ID is not known.
const DefaultLeaf = "init"

// An agent on the node takes the name of a process's cgroup for the name of its
// container. So a leaf that is called init hides the container from Tetragon, and Falco
// counts the process to the host (docs/cgroup.md, "The name of the leaf"). The name of
// an automatic leaf is as long as a container's ID, which is what these agents test, and
// it begins with the ID, of which they keep 12 or 31 digits. The dots end the ID for
// agents that look for 64 digits in a row, such as cAdvisor. These would take the leaf
// for a second container of the same ID.
const (
	idLength = 64
	idKept   = 40
)

var leafSuffix = strings.Repeat(".", idLength-idKept-len(DefaultLeaf)) + DefaultLeaf

// leafOf returns the name of the leaf in the container with this ID.
func leafOf(id string) string {
	if id == "" {
		return DefaultLeaf
	}
	return id[:idKept] + leafSuffix
}

// automatic reports whether a name has the form that leafOf gives it. A later run knows
// such a leaf by its form, because it may not see the ID.
func automatic(name string) bool {
	id, ok := strings.CutSuffix(name, leafSuffix)
	return ok && len(id) == idKept && hexadecimal(id)
}

func hexadecimal(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// siblingOf returns the name of the empty cgroup beside a leaf. A policy of Tetragon's
// stores the ID of the only child of the container's cgroup, once, and never matches
// another child. Kata's agent starts an exec in the child that is called init
// (kata-containers/kata-containers#13272), so such a child exists in any case, and may
// hold processes.
func siblingOf(leaf string) string {
	if leaf == DefaultLeaf {
		return "spare"
	}
	return DefaultLeaf
}

// containerID returns the container's ID, or "" if nothing shows it. path is the path of
// the container's cgroup.
func containerID(path string, mounts []Mount) string {
	if path == "/" { // a private cgroup namespace hides the name
		return idInMounts(mounts)
	}
	return idInPath(path)
}

// idInPath returns the ID in the last name of a path. Runtimes name the cgroup ID,
// PREFIX-ID.scope, or PREFIX:ID, if they get a systemd name with the cgroupfs driver
// (opencontainers/runc#3754). crun can put the container one level deeper, into a cgroup
// called container. Names above that are those of other containers.
func idInPath(p string) string {
	if up, ok := strings.CutSuffix(p, "/container"); ok {
		p = up
	}
	name := strings.TrimSuffix(path.Base(p), ".scope")
	return validID(name[strings.LastIndexAny(name, "-:")+1:])
}

func validID(id string) string {
	if len(id) == idLength && hexadecimal(id) {
		return id
	}
	return ""
}

// Files that runtimes mount.
const (
	terminationLog = "/dev/termination-log"
	containerEnv   = "/run/.containerenv"
	etcHostname    = "/etc/hostname"
	etcResolv      = "/etc/resolv.conf"
	etcHosts       = "/etc/hosts"
)

var idFiles = []string{terminationLog, containerEnv, etcHostname, etcResolv, etcHosts}

// idInMounts returns the ID in the source of a file that the runtime has mounted.
// Docker's files are in .../containers/ID, and Podman's in .../ID/userdata. Podman shares
// the other files of /etc with the containers of one network.
//
// In a pod of Kubernetes these are the files of the sandbox, which is another container.
// The kubelet's own files tell such a pod.
func idInMounts(mounts []Mount) (id string) {
	roots := map[string]string{}
	for _, m := range mounts {
		roots[m.Point] = m.Root // the last mount is on top
	}
	if roots[terminationLog] != "" || path.Base(roots[etcHosts]) == "etc-hosts" {
		return ""
	}
	for _, point := range []string{containerEnv, etcHostname} {
		if dir := path.Dir(roots[point]); path.Base(dir) == "userdata" {
			return validID(path.Base(path.Dir(dir)))
		}
	}
	for _, point := range []string{etcHostname, etcResolv, etcHosts} {
		dir := path.Dir(roots[point])
		found := validID(path.Base(dir))
		if found == "" || path.Base(path.Dir(dir)) != "containers" {
			continue
		}
		if id != "" && id != found {
			return ""
		}
		id = found
	}
	return id
}

// makeSibling makes the empty cgroup beside the leaf. Nothing depends on it, so it takes
// no room that inner containers need (see noRoom).
func (a *application) makeSibling(name string) {
	if !a.roomBeside() {
		return
	}
	switch err := a.k.mkdirat(a.base, name, 0o755); err {
	case nil:
		a.onFailure(func() error { return a.removeLeaf(name) })
	case unix.EEXIST, unix.EAGAIN: // EAGAIN is a limit of a cgroup above
	default:
		a.report.Warnings = append(a.report.Warnings, &Error{Op: "mkdir", Path: mountPoint + "/" + name, Err: err})
	}
}

// roomBeside reports whether two more cgroups have room after the sibling, as dockerd
// makes two for its first container.
func (a *application) roomBeside() bool {
	room, err := strconv.Atoi(a.k.room(descriptor(a.base)))
	return err != nil || room >= 3 // "max", or Linux before 4.14
}
