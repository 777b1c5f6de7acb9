package shim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/cgroup"
)

// The text has every field of the JSON.
func TestCheckPrintsWhatTheJSONHas(t *testing.T) {
	group := func(n int) *cgroup.Group {
		return &cgroup.Group{
			Path: fmt.Sprint("/path", n), ID: uint64(7000 + n), Type: fmt.Sprint("type", n), Controllers: []string{fmt.Sprint("controller", n)},
			Enabled: []string{fmt.Sprint("enabled", n)}, Processes: 7100 + n, Foreign: 7200 + n, Owner: 7300 + n, Group: 7400 + n,
			MaxDepth: fmt.Sprint(7500 + n), MaxDescendants: fmt.Sprint(7600 + n), ProcsErr: fmt.Sprint("procs", n),
		}
	}
	mount := func(n int) *cgroup.Mount {
		return &cgroup.Mount{
			ID: 7700 + n, Parent: 7800 + n, Root: fmt.Sprint("/root", n), Point: fmt.Sprint("/point", n), Options: []string{fmt.Sprint("option", n)},
			Propagates: []string{fmt.Sprint("propagates", n)}, Type: fmt.Sprint("fs", n), Source: fmt.Sprint("source", n), Super: fmt.Sprint("super", n),
		}
	}
	d := &diagnosis{
		Verdict: "some verdict", State: "some state", Reason: "some reason", Hint: "some hint", Notes: []string{"some note"}, Steps: []string{"some step"},
		Limits: cgroup.Limits{CPU: "7901", Memory: "7902", PIDs: "7903", OOMGroup: "7904"},
		Leaf: &cgroup.Leaf{
			Name: "leaf7905", Exists: true, Type: "type7906", Enabled: []string{"enabled7907"}, Below: "7908", Room: "7909", Protection: "protected7910",
			Affinity: "7911", CPUs: "7912", Losses: []cgroup.Loss{{File: "file7913", Container: "value7914", Leaf: "value7915"}},
		},
		Facts: &cgroup.Facts{
			PID: 8001, Parent: 8002, Session: 8003, UID: 8004, GID: 8005, Groups: []int{8006, 8007}, Kernel: "kernel8008", IDMap: "8009 8010 8011",
			CgroupNS: 8012, PIDNS: 8013, MountNS: 8014, Unified: "/unified", Container: "container8026", Unreadable: "unreadable8015", Init: "/init8016", InitSession: 8017, V1: []string{"v1controller"},
			Mount: mount(1), Under: mount(4), Holder: mount(2), Ground: mount(3), SharedRooms: []string{"/shared8025"}, SubMounts: []string{"/sub8018"}, Own: group(1), Above: []*cgroup.Group{group(2), group(3)},
			Strangers: 8019, Kept: &cgroup.Kept{ID: 8020, Leaf: "leaf8021", Holder: 8023, Room: "/room8024"}, Errors: []string{"error8022"},
		},
	}
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		t.Fatal(err)
	}
	text, values := d.text(), 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				walk(path+"."+key, value)
			}
		case []any:
			for _, value := range v {
				walk(path, value)
			}
		case bool:
		case nil:
			t.Errorf("%s is not filled in", path)
		default:
			values++
			if !strings.Contains(text, fmt.Sprint(v)) {
				t.Errorf("%s, %v, is not in\n%s", path, v, text)
			}
			if v == "" || v == float64(0) && !strings.HasSuffix(path, ".mode") {
				t.Errorf("%s is not filled in", path)
			}
		}
	}
	walk("", tree)
	if values < 80 {
		t.Errorf("only %d values", values)
	}
}

// A namespace that may not be read is neither this container's nor the host's.
func TestCheckSaysUnknown(t *testing.T) {
	text := (&diagnosis{Facts: new(cgroup.Facts)}).text()
	for _, key := range []string{"user namespace", "cgroup namespace", "pid namespace", "mount namespace"} {
		if !strings.Contains(text, key+strings.Repeat(" ", 22-len(key))+"unknown\n") {
			t.Errorf("%s in\n%s", key, text)
		}
	}
}

// A program that takes its cgroup parent from /proc/self/cgroup spoils the leaf.
func TestCheckNamesASpoiltLeaf(t *testing.T) {
	for name, c := range map[string]struct {
		leaf cgroup.Leaf
		want int
	}{
		"nothing is below the leaf":        {cgroup.Leaf{Exists: true, Type: "domain"}, 0},
		"the leaf is not made yet":         {cgroup.Leaf{}, 0},
		"controllers are enabled below it": {cgroup.Leaf{Exists: true, Type: "domain", Enabled: []string{"pids"}}, 1},
		"the leaf has become threaded":     {cgroup.Leaf{Exists: true, Type: "domain threaded", Enabled: []string{"cpu"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := &diagnosis{Facts: new(cgroup.Facts)}
			if d.leaf(&c.leaf); len(d.Notes) != c.want {
				t.Errorf("%q", d.Notes)
			}
		})
	}
}

// No value can look like a line of its own.
func TestCheckEscapes(t *testing.T) {
	const forged = "x\nverdict delegated already\x1b[2K\u202e"
	text := (&diagnosis{Verdict: "v", Facts: &cgroup.Facts{
		Unified: forged, Kernel: forged, Errors: []string{forged}, SubMounts: []string{forged}, Init: forged, Kept: &cgroup.Kept{Leaf: forged},
	}}).text()
	if strings.Count("\n"+text, "\nverdict") != 1 || strings.ContainsAny(text, "\x1b\u202e") {
		t.Errorf("%q", text)
	}
}
