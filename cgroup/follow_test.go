package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
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

func (r *resized) follow(o Options) *Follower {
	r.t.Helper()
	f, err := newFollower(r.dir, r.id, "init", o)
	if err != nil {
		r.t.Fatal(err)
	}
	if f != nil {
		r.t.Cleanup(func() { unix.Close(f.notify) })
	}
	return f
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
	f.Update()
	r.want("init/pids.max", "max")
	r.want("init/memory.max", "200")

	// Another program has lowered the leaf's limit. It stays until the container's
	// limit changes.
	r.write("init/memory.max", "150")
	r.write("pids.max", "400")
	f.Update()
	r.want("init/memory.max", "150")
	r.want("init/pids.max", "400")
	r.write("memory.max", "300")
	f.Update()
	r.want("init/memory.max", "300")
	if pending(t, f) {
		t.Error("copying is itself followed")
	}
}

func TestALimitBelowTheUseIsLeft(t *testing.T) {
	r := newResized(t, map[string]string{
		"memory.max": "900", "init/memory.max": "900", "memory.high": "800", "init/memory.high": "800",
		"memory.swap.max": "700", "init/memory.swap.max": "700", "init/memory.current": "500",
	})
	f := r.follow(Options{})
	for _, name := range []string{"memory.max", "memory.high", "memory.swap.max"} {
		r.write(name, "400")
	}
	f.Update()
	r.want("init/memory.max", "900")
	r.want("init/memory.high", "800")
	r.want("init/memory.swap.max", "400") // a write to this file does not swap anything in
	r.write("init/memory.current", "300")
	f.Update()
	r.want("init/memory.max", "400")
	r.want("init/memory.high", "400")
	r.write("init/memory.current", "500")
	r.write("memory.max", "max")
	f.Update()
	r.want("init/memory.max", "max")
}

func TestOOMGroupIsKept(t *testing.T) {
	for _, o := range []Options{{OOMGroup: "0"}, {OOMGroup: "0", Mirror: MirrorNothing}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			r := newResized(t, map[string]string{"memory.oom.group": "1", "init/memory.oom.group": "1"})
			f := r.follow(o)
			r.want("memory.oom.group", "0")
			f.Update()
			r.write("memory.oom.group", "1")
			f.Update()
			r.want("memory.oom.group", "0")
			leaf := "1"
			if o.Mirror == MirrorLimits {
				leaf = "0"
			}
			r.want("init/memory.oom.group", leaf)
			// The last event is Update's own write.
			if f.Update(); pending(t, f) {
				t.Errorf("%+v: it follows itself for ever", o)
			}
		})
	}
}

// Limits that cannot be copied into the leaf, and the resulting errors.
func TestWhatIsAFailedCopy(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		0: "", unix.ENOENT: "", unix.EACCES: "", unix.EPERM: "", unix.EROFS: "", // no controller, or not allowed to write the leaf
		unix.EINVAL: `write init/pids.max "7": invalid argument`,
	} {
		f := limitFile{name: terminated("pids.max"), size: 1}
		f.value[0] = '7'
		done, got := f.settle("write", errno), ""
		if err := f.failure("init"); err != nil {
			got = err.Error()
		}
		if got != want || done != (want == "") {
			t.Errorf("%v: %q, %v", errno, got, done)
		}
	}
}

func TestAnotherCgroupIsNotWritten(t *testing.T) {
	r := newResized(t, map[string]string{"pids.max": "500", "init/pids.max": "500", "memory.oom.group": "0"})
	f := r.follow(Options{OOMGroup: "0"})
	f.id++
	r.write("pids.max", "600")
	r.write("memory.oom.group", "1")
	f.Update()
	r.want("init/pids.max", "500")
	r.want("memory.oom.group", "1")
	r.id++
	if _, err := newFollower(r.dir, r.id, "init", Options{}); !is(err, unix.ESTALE) {
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
	if f.Update(); f.FD() != -1 {
		t.Error(f.FD())
	}
	if f, err := new(Report).Follow(); f != nil || err != nil {
		t.Error(f, err)
	}
}

// PID 1 makes these calls while its program runs.
func TestUpdateAllocatesNothing(t *testing.T) {
	r := newResized(t, map[string]string{
		"memory.max": "100", "init/memory.max": "100", "init/memory.current": "50", "pids.max": "10", "init/pids.max": "10",
		"memory.oom.group": "1", "init/memory.oom.group": "1", "cpu.max": "max 100000", "init/cpu.max": "max 100000",
	})
	f := r.follow(Options{OOMGroup: "0"})
	name, value := terminated(r.dir+"/memory.max"), []byte("100")
	group := terminated(r.dir + "/memory.oom.group")
	allocs := testing.AllocsPerRun(9, func() {
		value[0] = '1' + (value[0]-'1'+1)%9
		rawWriteFile(unix.AT_FDCWD, &name[0], value, 0)
		rawWriteFile(unix.AT_FDCWD, &group[0], one, 0)
		f.Update()
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	r.want("init/memory.max", string(value))
	r.want("init/memory.oom.group", "0")
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
		f.Update()
	}
	if after := open(); after > before+10 { // other tests and the runtime have descriptors too
		t.Errorf("%d descriptors, then %d", before, after)
	}
}

func TestEntriesOfADirectory(t *testing.T) {
	entry := func(kind byte, name string) []byte {
		size := (19 + len(name) + 1 + 7) &^ 7
		b := make([]byte, size)
		length := [2]byte{byte(size), byte(size >> 8)}
		if nativeUint16([]byte{1, 0}) != 1 {
			length[0], length[1] = length[1], length[0]
		}
		copy(b[16:], length[:])
		b[18] = kind
		copy(b[19:], name)
		return b
	}
	var all []byte
	for _, e := range [][]byte{
		entry(unix.DT_DIR, "."), entry(unix.DT_DIR, ".."), entry(unix.DT_REG, "cgroup.procs"),
		entry(unix.DT_DIR, "init"), entry(unix.DT_DIR, strings.Repeat("x", 255)), entry(unix.DT_REG, "last"),
	} {
		all = append(all, e...)
	}
	var names []string
	for name, rest := nextEntry(all); name != nil; name, rest = nextEntry(rest) {
		names = append(names, string(name))
	}
	if len(names) != 2 || names[0] != "init" || len(names[1]) != 255 {
		t.Errorf("%q", names)
	}
	for cut := range all { // a cut line must not make nextEntry read beyond the end
		nextEntry(all[:cut])
	}
}

func TestLines(t *testing.T) {
	var lines []string
	for line, rest := nextLine([]byte("low 0\n\noom_kill 12\nlast")); line != nil; line, rest = nextLine(rest) {
		lines = append(lines, string(line))
	}
	if got := strings.Join(lines, "|"); got != "low 0||oom_kill 12|last" {
		t.Errorf("%q", got)
	}
	for text, want := range map[string]uint64{"12": 12, "7 8": 7, "18446744073709551615": 1<<64 - 1} {
		if n, ok := firstNumber([]byte(text)); n != want || !ok {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
	if _, ok := firstNumber([]byte("max")); ok {
		t.Error("max is a number")
	}
}
