package cgroup

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// membership is the content of /proc/PID/cgroup (cgroups(7)).
type membership struct {
	unified string   // path in the v2 hierarchy, or "" if the process is in none
	v1      []string // controllers, or name=NAME, of each v1 hierarchy
}

// parseMembership parses lines of ID:CONTROLLERS:PATH. The kernel does not escape the
// path, which may contain colons. So only the first two colons of a line are
// separators.
func parseMembership(s string) membership {
	var m membership
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		id, rest, ok1 := strings.Cut(line, ":")
		controllers, path, ok2 := strings.Cut(rest, ":")
		switch {
		case !ok1 || !ok2:
		case id == "0" && controllers == "":
			m.unified = path
		default:
			m.v1 = append(m.v1, controllers)
		}
	}
	return m
}

// Mount is a line of /proc/PID/mountinfo (proc(5)).
type Mount struct {
	ID         int      `json:"id"`
	Parent     int      `json:"parent"`
	Root       string   `json:"root"`
	Point      string   `json:"point"`
	Options    []string `json:"options"`
	Propagates []string `json:"propagation,omitempty"` // shared:N, master:N, unbindable
	Type       string   `json:"type"`
	Source     string   `json:"source"`
	Super      string   `json:"super_options"`
}

func (m Mount) readOnly() bool { return slices.Contains(m.Options, "ro") }

func (m Mount) shared() bool { return hasPrefix(m.Propagates, "shared:") }

func (m Mount) private() bool { return !m.shared() && !hasPrefix(m.Propagates, "master:") }

// between reports whether m is the tmpfs that mountOver puts between two mounts. It is the
// top mount only if a run of cgshim was killed there.
func (m *Mount) between() bool { return m != nil && m.Type == "tmpfs" && m.Source == betweenSource }

// shows reports whether m is a cgroup2 mount that begins at path.
func (m *Mount) shows(path string) bool { return m != nil && m.Type == "cgroup2" && m.Root == path }

// parseMountinfo parses the lines of /proc/PID/mountinfo whose mount point keep accepts.
// There can be 20,000 lines (`-v /:/host:rslave` on a node), so it allocates nothing for
// the others. It skips malformed lines, which the kernel never writes.
func parseMountinfo(s string, keep func(point string) bool) []Mount {
	var mounts []Mount
	for line := range strings.Lines(s) {
		if !keep(mountPointOf(line)) {
			continue
		}
		if m, ok := parseMount(strings.TrimSuffix(line, "\n")); ok {
			mounts = append(mounts, m)
		}
	}
	return mounts
}

// mountPointOf returns the fifth field of a line, with its escapes.
func mountPointOf(line string) string {
	for range 4 {
		_, line, _ = strings.Cut(line, " ")
	}
	point, _, _ := strings.Cut(line, " ")
	return point
}

// parseMount splits at single blanks. A blank in a name is escaped, and the source may
// be empty.
func parseMount(line string) (m Mount, ok bool) {
	left, right, ok := strings.Cut(line, " - ")
	head, tail := strings.Split(left, " "), strings.Split(right, " ")
	if !ok || len(head) < 6 || tail[0] == "" {
		return m, false
	}
	m = Mount{
		Root: unescape(head[3]), Point: unescape(head[4]),
		Options: strings.Split(head[5], ","), Propagates: head[6:], Type: tail[0],
	}
	m.ID, _ = strconv.Atoi(head[0])
	m.Parent, _ = strconv.Atoi(head[1])
	if len(tail) > 2 {
		m.Source, m.Super = tail[1], tail[2]
	}
	return m, true
}

// unescape decodes the octal escapes of blank, tab, newline and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// topMount returns the mount that a process sees at point. Mounts form a stack there,
// and the top mount is the parent of no other mount at point. The order of the mounts in
// mountinfo does not tell the top mount, because MOVE_MOUNT_BENEATH puts a new mount
// below an older mount. If there are two stacks, the older stack is hidden together with
// the mount that it is on.
func topMount(mounts []Mount, point string) (top Mount, found bool) {
	covered := map[int]bool{}
	for i := range mounts {
		if m := &mounts[i]; m.Point == point && m.Parent != m.ID {
			covered[m.Parent] = true
		}
	}
	for i := range mounts {
		if m := &mounts[i]; m.Point == point && !covered[m.ID] {
			top, found = *m, true
		}
	}
	return top, found
}

// holdingMount returns the mount that contains the directory of point.
func holdingMount(mounts []Mount, point string) (m Mount, found bool) {
	for up := path.Dir(point); up != point && !found; up = path.Dir(point) {
		point = up
		m, found = topMount(mounts, point)
	}
	return m, found
}

// splitProcs splits cgroup.procs into the PIDs of this PID namespace and the number of
// other processes, which the kernel shows as 0 (cgroups(7)).
func splitProcs(s string) (pids []string, foreign int) {
	for _, pid := range strings.Fields(s) {
		if pid == "0" {
			foreign++
		} else {
			pids = append(pids, pid)
		}
	}
	return pids, foreign
}

// process has fields of /proc/PID/stat (proc(5)).
type process struct {
	parent, session int
	start           uint64 // in clock ticks since boot
}

// parseStat parses the numbers after the command. The command ends at the last
// parenthesis, because it may contain blanks and parentheses itself.
func parseStat(s string) (p process, ok bool) {
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:]) // from the third field on
	if len(f) < 20 {
		return p, false
	}
	var err1, err2, err3 error
	p.parent, err1 = strconv.Atoi(f[1])
	p.session, err2 = strconv.Atoi(f[3])
	p.start, err3 = strconv.ParseUint(f[19], 10, 64)
	return p, err1 == nil && err2 == nil && err3 == nil
}

// credentials are the fields of /proc/PID/status that the kernel compares with a file's
// permissions. uid and gid are the IDs for file systems, the last of four numbers
// (proc(5), credentials(7)). -1 is unknown.
type credentials struct {
	uid, gid     int
	groups       []int
	capabilities uint64 // CapEff
}

func parseStatus(s string) credentials {
	c := credentials{uid: -1, gid: -1}
	for line := range strings.Lines(s) {
		name, rest, _ := strings.Cut(line, ":")
		f := strings.Fields(rest)
		switch {
		case name == "Uid" && len(f) == 4:
			c.uid = number(f[3])
		case name == "Gid" && len(f) == 4:
			c.gid = number(f[3])
		case name == "Groups":
			for _, group := range f {
				c.groups = append(c.groups, number(group))
			}
		case name == "CapEff" && len(f) == 1:
			c.capabilities, _ = strconv.ParseUint(f[0], 16, 64)
		}
	}
	return c
}

// number parses an ID of 32 bits. It returns -1 if s is not an ID.
func number(s string) int {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return -1
	}
	return int(n)
}

func (c credentials) capable(capability int) bool { return c.capabilities>>capability&1 == 1 }

// below returns the rest of path below root, or "" if path is root.
func below(path, root string) (string, bool) {
	path, root = strings.TrimSuffix(path, "/"), strings.TrimSuffix(root, "/")
	rest, ok := strings.CutPrefix(path, root)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// isInitialMap reports whether s is the uid_map of the initial user namespace, which
// maps every ID to itself (user_namespaces(7)).
func isInitialMap(s string) bool {
	f := strings.Fields(s)
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}

func hasPrefix(list []string, prefix string) bool {
	return slices.ContainsFunc(list, func(item string) bool { return strings.HasPrefix(item, prefix) })
}

// intersect returns the items of list that are in other too.
func intersect(list, other []string) []string {
	var both []string
	for _, item := range list {
		if slices.Contains(other, item) {
			both = append(both, item)
		}
	}
	return both
}

// subtract returns the items of list that are not in other.
func subtract(list, other []string) []string {
	var rest []string
	for _, item := range list {
		if !slices.Contains(other, item) {
			rest = append(rest, item)
		}
	}
	return rest
}
