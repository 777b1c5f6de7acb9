package cgroup

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lock makes the runs of cgshim in one container wait for each other. The lock is on the
// room, so another user of the container cannot take it. The kernel releases it when the
// process ends (flock(2)). If no room can be locked, the run goes on without a lock.
// ignored says which places had to be left.
func (k *kernel) lock(deadline time.Time, interrupted func() bool) (unlock func(), ignored []error, err error) {
	for _, path := range rooms {
		fd, err := k.openRoom(path, true)
		if err != nil {
			if foreignRoom(err) {
				ignored = append(ignored, err)
			}
			continue
		}
		holder, err := k.flockUntil(fd, deadline, interrupted)
		switch {
		case err == nil:
			return func() { k.close(fd) }, ignored, nil
		case interrupted != nil && interrupted():
			k.close(fd)
			return nil, ignored, fmt.Errorf("%w: %w", ErrInterrupted, &Error{Op: "flock", Path: path, Data: holder, Err: err})
		case holder == heldOutside:
			ignored = append(ignored, &Error{Op: "flock", Path: path, Data: heldOutside, Err: err})
		case is(err, unix.EWOULDBLOCK, unix.EINTR):
			k.close(fd)
			return nil, ignored, &Error{Op: "flock", Path: path, Data: holder, Err: err}
		}
		k.close(fd)
	}
	return func() {}, ignored, nil
}

// heldOutside is the holder of a lock that is no process of this container.
const heldOutside = "held by another container"

// flockUntil locks fd. If another process of this container has the lock until the
// deadline, holder names it. A stranger is not waited for. A volume that is shared with
// another container lets its processes lock the room. Such a process has to be found
// several times, because the holder may have ended before /proc/locks was read.
func (k *kernel) flockUntil(fd int, deadline time.Time, interrupted func() bool) (holder string, err error) {
	const enough = 5
	strange := 0
	for pause := shortest; ; pause = min(2*pause, longest) {
		err = k.flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if !is(err, unix.EWOULDBLOCK, unix.EINTR) {
			return "", err
		}
		strange++
		if holder = k.lockHolder(fd); holder != heldOutside {
			strange = 0
		}
		if strange == enough || over(deadline, interrupted) {
			return holder, err
		}
		k.sleep(pause)
	}
}

// lockHolder returns "PID n" for the process that has locked fd. /proc/locks shows only
// the locks of processes that have a PID here (fs/locks.c, locks_show). A process with
// other mounts is in another container, which shares the PID namespace. lockHolder
// returns "" if it cannot know.
func (k *kernel) lockHolder(fd int) string {
	var s, own, other unix.Stat_t
	locks, err := k.readUpTo("/proc/locks", 1<<20)
	if err != nil || k.fstat(fd, &s) != nil {
		return ""
	}
	pid := flockHolder(locks, k.inode(fd, s.Ino))
	if pid == 0 {
		return heldOutside
	}
	name := strconv.Itoa(pid)
	if k.stat("/proc/self/ns/mnt", &own) == nil && k.stat("/proc/"+name+"/ns/mnt", &other) == nil && own.Ino != other.Ino {
		return heldOutside
	}
	return "PID " + name
}

// inode returns the inode of an open file as /proc/locks shows it. On overlayfs it can
// differ from that of stat(2) (the kernel document "Overlay Filesystem", "Inode
// properties"). fdinfo has it since Linux 5.14.
func (k *kernel) inode(fd int, fallback uint64) uint64 {
	info, _ := k.readFile(unix.AT_FDCWD, "/proc/self/fdinfo/"+strconv.Itoa(fd))
	for line := range strings.Lines(info) {
		if text, found := strings.CutPrefix(line, "ino:"); found {
			if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil {
				return n
			}
		}
	}
	return fallback
}

// flockHolder finds the process with a lock of flock(2) on this inode in /proc/locks
// (proc_locks(5)). A line with an arrow is a process that waits.
func flockHolder(locks []byte, inode uint64) (pid int) {
	end := []byte(":" + strconv.FormatUint(inode, 10))
	for line := range bytes.Lines(locks) {
		f := bytes.Fields(line)
		if len(f) < 6 || string(f[1]) != "FLOCK" || !bytes.HasSuffix(f[5], end) {
			continue
		}
		if pid, err := strconv.Atoi(string(f[4])); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}
