package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// resized is a directory with the limit files of a container's cgroup and its leaf.
// They are ordinary files, so a shorter value does not replace a longer one.
type resized struct {
	t   *testing.T
	dir string
	id  uint64
}

func newResized(t *testing.T, files map[string]string) *resized {
	t.Helper()
	r := &resized{t: t, dir: t.TempDir()}
	if err := os.Mkdir(r.dir+"/init", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range files {
		r.write(name, value)
	}
	var stat unix.Stat_t
	if err := unix.Stat(r.dir, &stat); err != nil {
		t.Fatal(err)
	}
	r.id = stat.Ino
	return r
}

func (r *resized) write(name, value string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(value+"\n"), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *resized) want(name, value string) {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if got := strings.TrimSpace(string(data)); err != nil || got != value {
		r.t.Errorf("%s is %q, want %q (%v)", name, got, value, err)
	}
}

func (r *resized) mirrored(o Options) Mirrored {
	m := newMirrored(o.Mirror, "init", false)
	m.id, m.oomGroup = r.id, o.OOMGroup
	return m
}

func (r *resized) follow(o Options) *Follower {
	r.t.Helper()
	f, err := linux.follow(r.dir, r.mirrored(o))
	if err != nil {
		r.t.Fatal(err)
	}
	if f != nil {
		r.t.Cleanup(func() { unix.Close(f.notify) })
	}
	return f
}

// update copies and checks whether a later try is due.
func (r *resized) update(f *Follower, again bool) {
	r.t.Helper()
	if got, err := f.Update(); got != again || err != nil {
		r.t.Errorf("again is %v, want %v (%v)", got, again, err)
	}
}

// pending reports whether the kernel has events for f.
func pending(t *testing.T, f *Follower) bool {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.FD()), Events: unix.POLLIN}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func TestLimitsAreFollowed(t *testing.T) {
	r := newResized(t, map[string]string{
		"cpu.max": "200000 100000", "init/cpu.max": "100000 100000", "pids.max": "500", "init/pids.max": "max",
		"memory.max": "100", "init/memory.max": "100", "memory.oom.group": "1", "init/memory.oom.group": "0",
	})
	f := r.follow(Options{})
	r.want("init/cpu.max", "200000 100000")
	r.want("init/pids.max", "500")
	r.want("init/memory.oom.group", "1")

	r.write("pids.max", "max")
	r.write("memory.max", "200")
	if !pending(t, f) {
		t.Error("nothing tells of a change")
	}
	r.update(f, false)
	r.want("init/pids.max", "max")
	r.want("init/memory.max", "200")

	// Another program has lowered the leaf's limit. It stays until the container's
	// limit changes.
	r.write("init/memory.max", "150")
	r.write("pids.max", "400")
	r.update(f, false)
	r.want("init/memory.max", "150")
	r.want("init/pids.max", "400")
	r.write("memory.max", "300")
	r.update(f, false)
	r.want("init/memory.max", "300")
	if pending(t, f) {
		t.Error("copying is itself followed")
	}
}

func TestALimitBelowTheUseIsTriedAgain(t *testing.T) {
	r := newResized(t, map[string]string{
		"memory.max": "900", "init/memory.max": "900", "memory.high": "800", "init/memory.high": "800",
		"memory.swap.max": "700", "init/memory.swap.max": "700", "init/memory.current": "500",
	})
	f := r.follow(Options{})
	for _, name := range []string{"memory.max", "memory.high", "memory.swap.max"} {
		r.write(name, "400")
	}
	r.update(f, true)
	r.want("init/memory.max", "900")
	r.want("init/memory.high", "400")     // a write to this file kills nothing
	r.want("init/memory.swap.max", "400") // a write to this file does not swap anything in
	r.write("init/memory.current", "300")
	r.update(f, false)
	r.want("init/memory.max", "400")
	r.write("init/memory.current", "500")
	r.write("memory.max", "max")
	r.update(f, false)
	r.want("init/memory.max", "max")
}

// A copy that the kernel refuses, and what becomes of the other limits.
func TestAFailedCopy(t *testing.T) {
	for errno, want := range map[unix.Errno]struct {
		again bool
		err   string
	}{
		unix.ENOENT: {}, unix.EACCES: {}, unix.EPERM: {}, unix.EROFS: {}, // no controller, or not allowed to write the leaf
		unix.EINVAL: {true, `write init/memory.swap.max "7": invalid argument`},
		unix.EBUSY:  {true, `write init/memory.swap.max "7": device or resource busy`},
	} {
		t.Run(errno.Error(), func(t *testing.T) {
			r := newResized(t, map[string]string{"memory.swap.max": "7", "init/memory.swap.max": "8", "pids.max": "5", "init/pids.max": "4"})
			k := linux
			k.write = func(fd int, p []byte) (int, error) {
				if string(p) == "7" {
					return -1, errno
				}
				return linux.write(fd, p)
			}
			m, again, err := k.resize(r.dir, r.mirrored(Options{}))
			text := ""
			if err != nil {
				text = err.Error()
			}
			if again != want.again || text != want.err {
				t.Errorf("again %v, %q", again, text)
			}
			r.want("init/pids.max", "5")
			r.write("init/pids.max", "3") // another program's
			if _, again, err := linux.resize(r.dir, m); again || err != nil {
				t.Error(again, err)
			}
			r.want("init/memory.swap.max", "7")
			r.want("init/pids.max", "3")
		})
	}
}

// Each copy is made by another process, which gets the text of the one before.
func TestMirroredAsText(t *testing.T) {
	r := newResized(t, map[string]string{"cpu.max": "200000 100000", "init/cpu.max": "300000 100000", "pids.max": "5", "init/pids.max": "4"})
	r.write("memory.max", "5")
	r.write("init/memory.max", "9")
	r.write("init/memory.current", "6")
	r.write("memory.oom.group", "1")
	m := r.mirrored(Options{OOMGroup: "0"})
	handOn := func(again bool) {
		t.Helper()
		next, got, err := linux.resize(r.dir, m)
		if got != again || err != nil {
			t.Error(got, err)
		}
		m, err = ParseMirrored(next.String())
		if err != nil || !reflect.DeepEqual(m, next) {
			t.Errorf("%+v, want %+v (%v)", m, next, err)
		}
	}
	handOn(true)
	r.want("init/cpu.max", "200000 100000")
	r.want("memory.oom.group", "0")
	r.write("init/pids.max", "3") // another program's
	r.write("init/memory.current", "4")
	handOn(false)
	r.want("init/pids.max", "3")
	r.want("init/memory.max", "5")
}

func TestTheTextOfMirroredIsShort(t *testing.T) {
	m := newMirrored(MirrorLimits, strings.Repeat("\xff", 255), false)
	m.id, m.oomGroup = 1<<64-1, "1"
	for i := range m.files {
		m.files[i].copied = strings.Repeat("9", longestLimit)
	}
	s := m.String()
	if back, err := ParseMirrored(s); len(s) >= 2048 || err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("%d bytes, %v, %+v", len(s), err, back)
	}
}

func TestTextThatIsNoMirrored(t *testing.T) {
	for _, s := range []string{"x", "\n\n", "1\ninit\n", "x\n\"init\"\n", "1\n\"init\"\n\npids.max", "1\n\"init\"\n\ncgroup.procs 1"} {
		if m, err := ParseMirrored(s); err == nil {
			t.Errorf("%q: %+v", s, m)
		}
	}
	if m, err := ParseMirrored(new(Mirrored).String()); err != nil || !m.nothing() {
		t.Errorf("%+v, %v", m, err)
	}
	if next, again, err := Resize(Mirrored{}); again || err != nil || !next.nothing() {
		t.Errorf("%+v, %v, %v", next, again, err)
	}
}

func TestOOMGroupIsKept(t *testing.T) {
	for _, o := range []Options{{OOMGroup: "0"}, {OOMGroup: "0", Mirror: MirrorNothing}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			r := newResized(t, map[string]string{"memory.oom.group": "1", "init/memory.oom.group": "1"})
			f := r.follow(o)
			r.want("memory.oom.group", "0")
			r.update(f, false)
			r.write("memory.oom.group", "1")
			r.update(f, false)
			r.want("memory.oom.group", "0")
			leaf := "1"
			if o.Mirror == MirrorLimits {
				leaf = "0"
			}
			r.want("init/memory.oom.group", leaf)
			r.update(f, false) // for the event of its own write
			if pending(t, f) {
				t.Errorf("%+v: it follows itself for ever", o)
			}
		})
	}
}

func TestAnotherCgroupIsNotWritten(t *testing.T) {
	r := newResized(t, map[string]string{"pids.max": "500", "init/pids.max": "500", "memory.oom.group": "0"})
	f := r.follow(Options{OOMGroup: "0"})
	f.mirrored.id++
	r.write("pids.max", "600")
	r.write("memory.oom.group", "1")
	if again, err := f.Update(); again || !is(err, unix.ESTALE) {
		t.Error(again, err)
	}
	r.want("init/pids.max", "500")
	r.want("memory.oom.group", "1")
	r.id++
	if _, err := linux.follow(r.dir, r.mirrored(Options{})); !is(err, unix.ESTALE) {
		t.Error(err)
	}
}

func TestNothingToFollow(t *testing.T) {
	full := map[string]string{"cpu.max": "max 100000", "init/cpu.max": "max 100000"}
	for name, c := range map[string]struct {
		files map[string]string
		o     Options
	}{
		"nothing is asked for":        {full, Options{Mirror: MirrorNothing}},
		"no controllers":              {nil, Options{OOMGroup: "0"}},
		"memory.oom.group is missing": {full, Options{Mirror: MirrorNothing, OOMGroup: "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if f := newResized(t, c.files).follow(c.o); f != nil {
				t.Errorf("%s: %+v", name, f)
			}
		})
	}
	var f *Follower
	if again, err := f.Update(); again || err != nil || f.FD() != -1 {
		t.Error(f.FD())
	}
	if f, err := new(Report).Follow(); f != nil || err != nil || new(Report).Watch() != nil {
		t.Error(f, err)
	}
}

// A descriptor that stays open would pin the mount.
func TestUpdateKeepsNothingOpen(t *testing.T) {
	r := newResized(t, map[string]string{"pids.max": "10", "init/pids.max": "20", "memory.max": "5", "init/memory.max": "9", "init/memory.current": "7"})
	f := r.follow(Options{OOMGroup: "0"})
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := open()
	for range 100 {
		_, _ = f.Update()
	}
	if after := open(); after > before+10 { // other tests and the runtime have descriptors too
		t.Errorf("%d descriptors, then %d", before, after)
	}
}
