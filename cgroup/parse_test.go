package cgroup

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMembership(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     membership
	}{
		{"v2 alone", "0::/\n", membership{unified: "/"}},
		{"v1 alone", "2:cpu,cpuacct:/x\n1:name=systemd:/\n", membership{v1: []string{"cpu,cpuacct", "name=systemd"}}},
		{"hybrid", "1:name=systemd:/\n0::/init.scope\n", membership{unified: "/init.scope", v1: []string{"name=systemd"}}},
		{"a path with colons, blanks and the kernel's own suffix", "0::/a b:c:d (deleted)\n", membership{unified: "/a b:c:d (deleted)"}},
		{"outside the namespace", "0::/../x\n", membership{unified: "/../x"}},
		{"nothing", "", membership{}},
		{"no newline at the end", "0::/x", membership{unified: "/x"}},
		{"what is no line", "garbage\n::\n", membership{v1: []string{""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parseMembership(c.in); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
			}
		})
	}
}

const mountinfoSample = `25 1 0:23 / / rw,relatime shared:1 - ext4 /dev/vda rw
26 25 0:24 / /sys rw,nosuid shared:7 - sysfs sysfs rw
30 26 0:26 /../../.. /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime shared:9 master:4 - cgroup2 cgroup2 rw,nsdelegate
31 30 0:26 / /sys/fs/cgroup rw - cgroup2 none rw
32 26 0:27 / /mnt/a\040b\134c rw,noatime - tmpfs  rw
`

func everywhere(string) bool { return true }

func TestParseMountinfo(t *testing.T) {
	mounts := parseMountinfo(mountinfoSample, everywhere)
	if len(mounts) != 5 {
		t.Fatalf("%d mounts", len(mounts))
	}
	under := mounts[2]
	if under.Root != "/../../.." || !under.readOnly() || !under.shared() || under.private() || under.Super != "rw,nsdelegate" || under.Parent != 26 {
		t.Errorf("%+v", under)
	}
	if mounts[4].Point != `/mnt/a b\c` || !mounts[4].private() {
		t.Errorf("%+v", mounts[4])
	}
	if top, ok := topMount(mounts, mountPoint); !ok || top.ID != 31 {
		t.Errorf("top %+v", top)
	}
	slices.Reverse(mounts) // the order says nothing
	if top, ok := topMount(mounts, mountPoint); !ok || top.ID != 31 {
		t.Errorf("top %+v of the reverse", top)
	}
	if _, ok := topMount(mounts, "/nowhere"); ok {
		t.Error("a mount where there is none")
	}
}

func TestSplitProcs(t *testing.T) {
	pids, foreign := splitProcs("0\n1\n0\n42\n")
	if strings.Join(pids, " ") != "1 42" || foreign != 2 {
		t.Error(pids, foreign)
	}
}

func TestIsInitialMap(t *testing.T) {
	for in, want := range map[string]bool{
		"         0          0 4294967295\n": true,
		"0 100000 65536\n":                   false,
		"0 0 65536\n":                        false,
		"0 0 1\n1 100000 65535\n":            false,
		"":                                   false,
	} {
		if isInitialMap(in) != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
}

const statusSample = "Name:\tcgshim\nUid:\t1000\t1001\t1002\t1003\nGid:\t2000\t2001\t2002\t2003\nGroups:\t4 4294967294 \nCapPrm:\t0000000000200000\nCapEff:\t0000000000200002\n"

func TestParseStatus(t *testing.T) {
	c := parseStatus(statusSample)
	highest := uint32(4294967294) // does not fit an int of 32 bits
	if c.uid != 1003 || c.gid != 2003 || !slices.Equal(c.groups, []int{4, int(highest)}) {
		t.Errorf("%+v", c)
	}
	if !c.capable(unix.CAP_SYS_ADMIN) || !c.capable(unix.CAP_DAC_OVERRIDE) || c.capable(unix.CAP_CHOWN) {
		t.Error("capabilities")
	}
	if c := parseStatus(""); c.uid != -1 || c.gid != -1 || c.groups != nil || c.capable(0) {
		t.Errorf("of nothing: %+v", c)
	}
}

func TestParseStat(t *testing.T) {
	const rest = " S 7 12 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 1"
	for in, want := range map[string]process{
		"12 (sh)" + rest:           {7, 3, 4711},
		"12 (a) S 1 (b c)" + rest:  {7, 3, 4711},
		"12 (\n12 (x) S 1)" + rest: {7, 3, 4711},
	} {
		if got, ok := parseStat(in); !ok || got != want {
			t.Errorf("%q: %+v %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "12 (sh", "12 (sh) S 7", "12 (sh) S x" + rest[4:]} {
		if got, ok := parseStat(in); ok {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestMayWrite(t *testing.T) {
	for _, c := range []struct {
		name         string
		facts        Facts
		owner, group uint32
		mode         uint32
		want         bool
	}{
		{"root", Facts{Override: true, InitialUserNS: true}, 0, 0, 0o555, true},
		{"root, of nobody", Facts{Override: true, InitialUserNS: true}, overflowID, overflowID, 0o555, true},
		{"root of a user namespace, of its own", Facts{Override: true}, 0, 0, 0o555, true},
		{"root of a user namespace, of an owner without a number", Facts{Override: true}, overflowID, overflowID, 0o755, false},
		{"root of a user namespace, by the group", Facts{Override: true}, overflowID, 0, 0o664, true},
		{"root of a user namespace, by the group, read-only", Facts{Override: true}, overflowID, 0, 0o644, false},
		{"root of a user namespace, of a group without a number", Facts{Override: true}, 0, overflowID, 0o444, false},
		{"the owner", Facts{UID: 1000, GID: 1000}, 1000, 0, 0o644, true},
		{"the owner, read-only", Facts{UID: 1000, GID: 1000}, 1000, 1000, 0o464, false},
		{"a member", Facts{UID: 1000, GID: 1000}, 0, 1000, 0o664, true},
		{"a member, read-only", Facts{UID: 1000, GID: 1000}, 0, 1000, 0o646, false},
		{"by a supplementary group", Facts{UID: 1000, GID: 1000, Groups: []int{7, 27}}, 0, 27, 0o664, true},
		{"another user", Facts{UID: 1000, GID: 1000}, 0, 0, 0o664, false},
		{"everybody", Facts{UID: 1000, GID: 1000}, 0, 0, 0o646, true},
		{"a user without a number", Facts{UID: overflowID, GID: overflowID}, overflowID, overflowID, 0o664, false},
		{"unknown", Facts{UID: -1, GID: -1}, 0, 0, 0o664, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.facts.mayWrite(&unix.Stat_t{Uid: c.owner, Gid: c.group, Mode: c.mode}); got != c.want {
				t.Errorf("%s: %v", c.name, got)
			}
		})
	}
}

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		path, root, rest string
		below            bool
	}{
		{"/a/b", "/a", "/b", true},
		{"/a", "/a", "", true},
		{"/a", "/", "/a", true},
		{"/", "/", "", true},
		{"/ab", "/a", "", false},
		{"/a", "/a/b", "", false},
	} {
		if rest, ok := below(c.path, c.root); ok != c.below || ok && rest != c.rest {
			t.Errorf("%s below %s: %q, %v", c.path, c.root, rest, ok)
		}
	}
}

func TestLimit(t *testing.T) {
	for in, want := range map[string]string{"max 100000\n": "max", "150000 100000\n": "1.5", "max\n": "max", "1048576\n": "1048576", "5 0": "5", "5000 100000": "0.05", "9223372036854771712": "max", "18446744073709551615": "max", "-1": "max", "": "max"} {
		if got := decimal(limit(in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func FuzzParseMembership(f *testing.F) {
	f.Add("0::/a:b\n1:name=systemd:/\n")
	f.Add("0::")
	f.Fuzz(func(t *testing.T, in string) {
		if m := parseMembership(in); strings.Contains(m.unified, "\n") || !strings.Contains(in, m.unified) {
			t.Errorf("%q: %+v", in, m)
		}
	})
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add(mountinfoSample)
	f.Add(`1 2 0:3 \999 \040 rw - x`)
	f.Fuzz(func(t *testing.T, in string) {
		for _, m := range parseMountinfo(in, everywhere) {
			if m.Type == "" || len(m.Point) > len(in) {
				t.Errorf("%q: %+v", in, m)
			}
			if top, found := topMount(parseMountinfo(in, everywhere), m.Point); found && top.Point != m.Point {
				t.Errorf("%q: %+v on top at %q", in, top, m.Point)
			}
			holdingMount(parseMountinfo(in, everywhere), m.Point)
		}
	})
}

func FuzzSplitProcs(f *testing.F) {
	f.Add("0\n1\n")
	f.Fuzz(func(t *testing.T, in string) {
		pids, foreign := splitProcs(in)
		if len(pids)+foreign != len(strings.Fields(in)) {
			t.Errorf("%q: %q %d", in, pids, foreign)
		}
	})
}

func FuzzIsInitialMap(f *testing.F) {
	f.Add("0 0 4294967295")
	f.Fuzz(func(t *testing.T, in string) {
		if isInitialMap(in) && strings.Join(strings.Fields(in), " ") != "0 0 4294967295" {
			t.Errorf("%q", in)
		}
	})
}

func FuzzLimit(f *testing.F) {
	f.Add("100000 100000")
	f.Fuzz(func(t *testing.T, in string) {
		got := decimal(limit(in))
		if again := decimal(limit(got)); !strings.Contains(got, ".") && again != got {
			t.Errorf("%q is %s, and that is %s", in, got, again)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add(statusSample)
	f.Add("\nUid:\n\nCapEff:")
	f.Fuzz(func(t *testing.T, in string) {
		if c := parseStatus(in); c.uid != -1 && !strings.Contains(in, strconv.Itoa(c.uid)) {
			t.Errorf("%q: %+v", in, c)
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add("12 (a) S 1 (b c) S 7 12 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 99 1")
	f.Fuzz(func(t *testing.T, in string) {
		if p, ok := parseStat(in); ok && !strings.Contains(in, strconv.FormatUint(p.start, 10)) {
			t.Errorf("%q: %+v", in, p)
		}
	})
}

func FuzzQuote(f *testing.F) {
	f.Add("sh\nverdict \x1b[2J")
	f.Fuzz(func(t *testing.T, in string) {
		out := Quote(in)
		for _, r := range out {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Errorf("%q: %q", in, out)
			}
		}
		if back, err := strconv.Unquote(out); out != in && (err != nil || back != in) {
			t.Errorf("%q: %q", in, out)
		}
	})
}

// unescape decodes every escape of the kernel and changes nothing else.
func FuzzUnescape(f *testing.F) {
	f.Add("/a b\tc\nd\\e")
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`)
	f.Fuzz(func(t *testing.T, in string) {
		if out := unescape(escape.Replace(in)); out != in {
			t.Errorf("%q became %q", in, out)
		}
	})
}
