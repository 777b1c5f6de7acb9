package cgroup

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OOMKills is how many processes the OOM killer has ended so far in the container,
// inner containers included, or in the own cgroup where the container is not
// delegated: oom_kill of memory.events, which counts for the whole subtree (the
// kernel document, "Memory Interface Files"). ok is false where that cannot be read.
func OOMKills(delegated bool) (n uint64, ok bool) {
	dir := mountPoint
	if !delegated {
		member, err := linux.readFile(unix.AT_FDCWD, "/proc/self/cgroup")
		own := parseMembership(member).unified
		if err != nil || own == "" {
			return 0, false
		}
		dir += own
	}
	events, _ := linux.readFile(unix.AT_FDCWD, dir+"/memory.events")
	for line := range strings.Lines(events) {
		if count, found := strings.CutPrefix(line, "oom_kill "); found {
			n, err := strconv.ParseUint(strings.TrimSpace(count), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// KillOthers ends every process of the inner containers: cgroup.kill (Linux 5.14)
// of each child of the container's cgroup but the leaf, which this process is in.
func KillOthers() error {
	member, err := linux.readFile(unix.AT_FDCWD, "/proc/self/cgroup")
	if err != nil {
		return err
	}
	own := parseMembership(member).unified
	if path.Dir(own) != "/" || own == "/" {
		return &Error{"kill", mountPoint, own, unix.EOPNOTSUPP} // not the leaf of a namespace's root
	}
	names, err := entriesOf(mountPoint)
	for _, name := range names {
		if name == path.Base(own) {
			continue
		}
		// ENOTDIR: a file of the container's own cgroup.
		kill := linux.writeFile(unix.AT_FDCWD, mountPoint+"/"+name+"/cgroup.kill", "1")
		if err == nil && !is(kill, unix.ENOTDIR) {
			err = kill
		}
	}
	return err
}

func entriesOf(dir string) (names []string, err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &Error{"open", dir, "", err}
	}
	defer unix.Close(fd)
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return names, &Error{"getdents64", dir, "", err}
		}
		if n == 0 {
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
