package cgroup

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The mounts at and around /sys/fs/cgroup, as mountinfo may have them.
const (
	rootLine   = "25 1 0:23 / / rw shared:1 - ext4 /dev/vda rw\n"
	sysLine    = "26 25 0:24 / /sys rw - sysfs sysfs rw\n"
	cgroupLine = "30 26 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
)

func observeMounts(lines ...string) *Facts {
	f := new(Facts)
	(&observation{kernel: &linux, Facts: f}).mounts(strings.Join(lines, ""))
	return f
}

// The result does not depend on the order of the lines, as far as there is one stack of
// mounts at each point.
func TestMountsAreFoundInAnyOrder(t *testing.T) {
	for _, c := range []struct {
		name                  string
		mount, holder, ground int // 0 is none
		parentShared          bool
		below                 int
		lines                 []string
	}{
		{"the usual mounts", 30, 26, 26, false, 0, []string{rootLine, sysLine, cgroupLine}},
		{"a stack of two", 31, 0, 26, false, 0, []string{rootLine, sysLine, cgroupLine, "31 30 0:26 / /sys/fs/cgroup rw - cgroup2 none rw\n"}},
		{"a stack of three, made from below", 30, 0, 26, true, 0, []string{
			rootLine, sysLine, "30 32 0:26 / /sys/fs/cgroup rw - cgroup2 none rw\n", "31 26 0:26 / /sys/fs/cgroup rw - cgroup2 none rw\n",
			"32 31 0:26 / /sys/fs/cgroup rw shared:5 - cgroup2 none rw\n",
		}},
		{"a second mount covers /sys", 30, 0, 0, false, 0, []string{rootLine, sysLine, cgroupLine, "40 26 0:24 / /sys rw - sysfs sysfs rw\n"}},
		{"a mount on /sys/fs", 30, 27, 27, true, 0, []string{rootLine, sysLine, "27 26 0:9 / /sys/fs rw shared:2 - tmpfs x rw\n", "30 27 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"}},
		{"nothing mounted, /sys is a stack", 0, 40, 40, true, 0, []string{rootLine, sysLine, "40 26 0:24 / /sys rw shared:3 - sysfs sysfs rw\n"}},
		{"mounts below, and below these", 30, 26, 26, false, 2, []string{
			rootLine, sysLine, cgroupLine, "41 30 0:9 / /sys/fs/cgroup/a rw - tmpfs x rw\n", "42 41 0:9 / /sys/fs/cgroup/a/b rw - tmpfs x rw\n", "43 30 0:9 / /sys/fs/cgroup/c rw - tmpfs x rw\n",
		}},
		{"others with similar names", 30, 26, 26, false, 0, []string{
			rootLine, sysLine, cgroupLine, "50 25 0:9 / /host/sys/fs/cgroup rw - cgroup2 x rw\n", "51 26 0:9 / /sys/fs/cgroup2 rw - cgroup2 x rw\n", "52 26 0:9 / /sys/fs/bpf rw - bpf x rw\n",
		}},
		{"mounts on each other, which no kernel has", 0, 25, 25, true, 0, []string{rootLine, "60 61 0:9 / /sys/fs/cgroup rw - cgroup2 x rw\n", "61 60 0:9 / /sys/fs/cgroup rw - cgroup2 x rw\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range len(c.lines) {
				c.lines = append(c.lines[1:], c.lines[0])
				for range 2 {
					slices.Reverse(c.lines)
					f := observeMounts(c.lines...)
					if f.Mount.id() != c.mount || f.Holder.id() != c.holder || f.Ground.id() != c.ground || f.ParentShared != c.parentShared || len(f.SubMounts) != c.below {
						t.Errorf("mount %d on %d, ground %d, shared %v, below %q\n%s", f.Mount.id(), f.Holder.id(), f.Ground.id(), f.ParentShared, f.SubMounts, strings.Join(c.lines, ""))
					}
				}
			}
		})
	}
}

func (m *Mount) id() int {
	if m == nil {
		return 0
	}
	return m.ID
}

// nodeMounts returns a mountinfo with n mounts of a node beside the container's own,
// before or after these.
func nodeMounts(n int, before bool) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d 25 0:%d / /host/var/lib/kubelet/pods/%d/volumes/kubernetes.io~projected/token rw,relatime master:%d - tmpfs tmpfs rw,size=131072k\n", 1000+i, 50+i, i, 30+i)
	}
	if before {
		return rootLine + b.String() + sysLine + cgroupLine
	}
	return rootLine + sysLine + cgroupLine + b.String()
}

func BenchmarkObserveMounts(b *testing.B) {
	for _, n := range []int{10, 1000, 20_000} {
		for name, before := range map[string]bool{"sys first": false, "sys last": true} {
			b.Run(fmt.Sprintf("%d mounts, %s", n, name), func(b *testing.B) {
				info := nodeMounts(n, before)
				b.SetBytes(int64(len(info)))
				b.ReportAllocs()
				for b.Loop() {
					observeMounts(info)
				}
			})
		}
	}
}

// A mount that does not concern the set-up costs no memory.
func TestOtherMountsAreNotKept(t *testing.T) {
	few, many := nodeMounts(0, true), nodeMounts(20_000, true)
	allocations := func(info string) float64 { return testing.AllocsPerRun(5, func() { observeMounts(info) }) }
	if a, b := allocations(few), allocations(many); a != b {
		t.Errorf("%v allocations with few mounts, %v with many", a, b)
	}
}

// A stop signal ends an observation within one read, and nothing is delegated then.
func TestAStopSignalEndsTheObservation(t *testing.T) {
	k := shown(t, all(proc(1, 0, 1, 100, "/", nodeMounts(20_000, true)), dir("", "", "1\n")), 1)
	all := 0
	read := k.read
	k.read = func(fd int, p []byte) (int, error) {
		all++
		return read(fd, p[:min(len(p), 4096)]) // as much as the kernel returns at once
	}
	k.observe("self")
	stopped, most := false, 0
	counted := k.read
	k.read = func(fd int, p []byte) (int, error) {
		stopped, most = most == 10, most+1
		return counted(fd, p)
	}
	p, r, err := k.setUp(Options{Interrupted: func() bool { return stopped }})
	if !errors.Is(err, ErrInterrupted) || r.Delegated || len(p.Steps) > 0 || most > 11 || all < 500 {
		t.Errorf("%v after %d of %d reads: %+v", err, most, all, p)
	}
}

func TestAStopSignalEndsTheWaitForTheLock(t *testing.T) {
	k := linux
	k.flock = func(int, int) error { return unix.EWOULDBLOCK }
	tries := 0
	k.sleep = func(time.Duration) { tries++ }
	room := t.TempDir()
	if err := os.Chmod(room, 0o700); err != nil {
		t.Fatal(err)
	}
	k.mkdirat = func(int, string, uint32) error { return unix.EEXIST }
	k.openat = func(_ int, _ string, flags int, mode uint32) (int, error) {
		return linux.openat(unix.AT_FDCWD, room, flags&^unix.O_NOFOLLOW|unix.O_DIRECTORY, mode)
	}
	_, _, err := k.lock(time.Now().Add(time.Hour), func() bool { return tries > 2 })
	if !errors.Is(err, ErrInterrupted) || !errors.Is(err, unix.EWOULDBLOCK) || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
