package cgroup

import (
	"os"
	"strings"
	"testing"
)

// The limits are those of the kernel: with the least that Decide accepts, the leaf and a
// cgroup two levels below can be made, and with one less they cannot.
func TestRoomForInnerCgroups(t *testing.T) {
	for _, c := range []struct {
		name         string
		own, above   map[string]string
		room, engine bool // engine: two cgroups for a container fit beside the leaf
	}{
		{"no descendants", map[string]string{"cgroup.max.descendants": "0"}, nil, false, false},
		{"two descendants", map[string]string{"cgroup.max.descendants": "2"}, nil, false, false},
		{"three descendants", map[string]string{"cgroup.max.descendants": "3"}, nil, true, true},
		{"one level", map[string]string{"cgroup.max.depth": "1"}, nil, false, false},
		{"two levels", map[string]string{"cgroup.max.depth": "2"}, nil, true, true},
		{"two levels below the cgroup above", nil, map[string]string{"cgroup.max.depth": "2"}, false, false},
		{"three levels below it", nil, map[string]string{"cgroup.max.depth": "3"}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			above := newSandbox(t)
			s := above.inside()
			s.set(c.own)
			above.set(c.above)
			out := s.run(child{Setup: []string{"host"}})
			if !c.room {
				if out.State != NoRoom || !out.Skip || !strings.Contains(out.Reason, " of "+mountPoint+"/") {
					t.Errorf("%s: %+v", out.State, out)
				}
				s.untouched(out)
				_ = os.Mkdir(s.dir+"/init", 0o755)
			} else {
				s.delegated(out)
			}
			_ = os.Mkdir(s.dir+"/docker", 0o755)
			if err := os.Mkdir(s.dir+"/docker/ID", 0o755); (err == nil) != c.engine {
				t.Errorf("a container's cgroup: %v", err)
			}
		})
	}
}
