package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// as returns a kernel that shows this content as /proc/self/cgroup.
func as(t *testing.T, content string) *kernel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "cgroup")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	k := linux
	k.openat = func(dir int, name string, flags int, mode uint32) (int, error) {
		if name == "/proc/self/cgroup" {
			name = file
		}
		return linux.openat(dir, name, flags, mode)
	}
	return &k
}

func TestTheCountOfOOMKills(t *testing.T) {
	const events = "low 0\nhigh 3\nmax 4\noom 2\noom_kill 12\noom_group_kill 1\n"
	for name, c := range map[string]struct {
		own, container, leaf string
		delegated            bool
		want                 uint64
		ok                   bool
	}{
		"the container counts its inner containers":  {"0::/init\n", events, "oom_kill 5\n", true, 12, true},
		"without a delegation the own cgroup counts": {"1:cpu:/x\n0::/init\n", events, "oom_kill 5\n", false, 5, true},
		"the largest number":                         {"0::/init\n", "oom_kill 18446744073709551615\n", "", true, 1<<64 - 1, true},
		"a file without the count":                   {"0::/init\n", "low 0\n", "", true, 0, false},
		"a count that is no number":                  {"0::/init\n", "oom_kill max\n", "", true, 0, false},
		"no memory controller":                       {"0::/other\n", "", "", false, 0, false},
		"no cgroup v2":                               {"1:cpu:/init\n", events, events, false, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResized(t, map[string]string{"memory.events": c.container, "init/memory.events": c.leaf})
			if n, ok := as(t, c.own).oomKills(r.dir, c.delegated); n != c.want || ok != c.ok {
				t.Errorf("%d, %v", n, ok)
			}
		})
	}
}

func TestWhichCgroupsAreKilled(t *testing.T) {
	r := newResized(t, map[string]string{"cgroup.procs": "1", "init/cgroup.kill": "", "cgroup.kill": ""})
	for _, name := range []string{"docker", "older"} {
		if err := os.Mkdir(r.dir+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("docker/cgroup.kill", "")
	err := as(t, "0::/init\n").killOthers(r.dir)
	if want := "open " + r.dir + "/older/cgroup.kill \"1\": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	r.want("docker/cgroup.kill", "1")
	r.want("init/cgroup.kill", "")
	r.want("cgroup.kill", "")
}

func TestACgroupThatGoesIsNoError(t *testing.T) {
	r := newResized(t, nil)
	if err := os.Mkdir(r.dir+"/docker", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker", "cgroup.kill"} {
		errno := map[string]unix.Errno{"docker": unix.ENOENT, "cgroup.kill": unix.ENODEV}[name]
		k := as(t, "0::/init\n")
		open := k.openat
		k.openat = func(dir int, file string, flags int, mode uint32) (int, error) {
			if filepath.Base(file) == name {
				return -1, errno
			}
			return open(dir, file, flags, mode)
		}
		if err := k.killOthers(r.dir); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsKilledOutsideOfALeaf(t *testing.T) {
	for _, own := range []string{"0::/\n", "0::/init/deeper\n", "0::/..\n", "0::/../other\n", "1:cpu:/\n"} {
		r := newResized(t, map[string]string{"init/cgroup.kill": ""})
		if err := as(t, own).killOthers(r.dir); !is(err, unix.EOPNOTSUPP) {
			t.Errorf("%q: %v", strings.TrimSpace(own), err)
		}
		r.want("init/cgroup.kill", "")
	}
}
