package cgroup

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// The agents are described as functions of the paths on the node. Each rule was seen at
// work with the agent itself: Tetragon 1.8 and cAdvisor as programs, Falco's and Tracee's
// matchers, all of summer 2026. A function returns the ID that the agent names, as far
// as the agent keeps it, or "".

// tetragonByName is Tetragon without --enable-cgidmap, for a process that starts. It
// looks at the name of the process's own cgroup, behind the last colon and hyphen. The
// rest has to have 64 characters or more, of which it keeps 31.
func tetragonByName(cgroup string) string {
	name := path.Base(cgroup)
	name = name[strings.LastIndexByte(name, ':')+1:]
	name = name[strings.LastIndexByte(name, '-')+1:]
	if len(name) < 64 || strings.HasSuffix(name, "service") {
		return ""
	}
	return name[:31]
}

// tetragonAfterRestart is for processes that ran before Tetragon was started. It has
// their whole paths, and goes up by one level only from the cgroup that crun makes for
// Podman.
func tetragonAfterRestart(cgroup string) string {
	if strings.Contains(cgroup, "libpod") && path.Base(cgroup) == "container" {
		cgroup = path.Dir(cgroup)
	}
	return tetragonByName(cgroup)
}

var (
	falcoScope = regexp.MustCompile(`(?:docker|cri-containerd|crio|libpod)-([0-9a-f]{64})\.scope(?:/|$)`)
	falcoLXC   = regexp.MustCompile(`/lxc\.payload[./]([^/]+)`)
)

// falco takes the last name of the path if it has 64 characters, behind an optional
// prefix of CRI-O or Podman. Otherwise it takes the ID of a scope or of LXC, wherever it
// is in the path. A process without an ID belongs to the host. The first digit that is
// not hexadecimal may be anywhere behind the 64th character of the whole path.
func falco(cgroup string) string {
	name := path.Base(cgroup)
	name = strings.TrimPrefix(strings.TrimPrefix(name, "crio-"), "libpod-")
	start := len(cgroup) - len(name)
	wrong := strings.IndexFunc(name, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) })
	if len(name) == 64 && (wrong < 0 || start+wrong >= 64) {
		return name[:12]
	}
	for _, pattern := range []*regexp.Regexp{falcoScope, falcoLXC} {
		if m := pattern.FindStringSubmatch(cgroup); m != nil {
			return m[1][:min(12, len(m[1]))]
		}
	}
	return ""
}

var hex64 = regexp.MustCompile(`[0-9a-f]{64}`)

// tracee takes the last ID of the path.
func tracee(cgroup string) string {
	for ; cgroup != "/"; cgroup = path.Dir(cgroup) {
		if id := hex64.FindString(path.Base(cgroup)); id != "" {
			return id
		}
	}
	return ""
}

// cadvisor makes a labelled series of each cgroup whose name has 64 letters or digits in
// a row, and a raw series of each other cgroup.
func cadvisor(cgroups []string) (labelled int) {
	row := regexp.MustCompile(`[a-z0-9]{64}`)
	for _, cgroup := range cgroups {
		if row.MatchString(path.Base(cgroup)) {
			labelled++
		}
	}
	return labelled
}

// tetragonPolicy is a policy with a podSelector that finds the pod before its first inner
// container. It stores one cgroup. That is the container's, unless this has exactly one
// child. Then it is the child, and inner containers never match.
func tetragonPolicy(children []string) bool { return len(children) != 1 }

// follows is an agent that follows cgroups, or goes up from a process's cgroup to an ID
// that it knows. Tetragon with --enable-cgidmap does so for processes that start, and so
// does a program for eBPF with bpf_get_current_ancestor_cgroup_id.
func follows(cgroup, container string) string {
	if _, ok := below(cgroup, container); ok {
		return idA
	}
	return ""
}

// said is what an agent says of a process.
func said(id string) string {
	switch {
	case id == "":
		return "none"
	case strings.HasPrefix(idA, id) || id == "web":
		return "outer"
	case strings.HasPrefix(idB, id):
		return "inner"
	}
	return "ANOTHER"
}

type answers map[string]string

var columns = []string{"by name", "after restart", "policy", "Falco", "Tracee", "cAdvisor", "follows"}

// observed returns the answers about a container's program in this cgroup. children are
// the cgroups below the container's cgroup when its program starts.
func observed(container, own string, children []string) answers {
	cgroups := []string{container}
	for _, child := range children {
		cgroups = append(cgroups, container+"/"+child)
	}
	return answers{
		"by name": said(tetragonByName(own)), "after restart": said(tetragonAfterRestart(own)),
		"policy": fmt.Sprint(tetragonPolicy(children)), "Falco": said(falco(own)), "Tracee": said(tracee(own)),
		"cAdvisor": fmt.Sprint(cadvisor(cgroups)), "follows": said(follows(own, container)),
	}
}

// environments are containers as runtimes make them. In a private cgroup namespace the
// container sees only its mounts.
var environments = []struct {
	name, cgroup string
	mounts       []Mount
	hidden       bool // the mounts do not show the ID
}{
	{"CRI, cgroupfs", "/kubepods/burstable/pod1/" + idA, sandboxFiles, true},
	{"CRI, systemd", "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + idA + ".scope", sandboxFiles, true},
	{"CRI, systemd name with cgroupfs", "/kubepods-pod1.slice:cri-containerd:" + idA, sandboxFiles, true},
	{"CRI-O, systemd", "/kubepods.slice/kubepods-pod1.slice/crio-" + idA + ".scope", sandboxFiles, true},
	{"CRI-O, systemd, crun", "/kubepods.slice/kubepods-pod1.slice/crio-" + idA + ".scope/container", sandboxFiles, true},
	{"CRI-O, cgroupfs", "/kubepods/pod1/crio-" + idA, sandboxFiles, true},
	{"Docker, cgroupfs", "/docker/" + idA, dockerFiles, false},
	{"Docker, systemd", "/system.slice/docker-" + idA + ".scope", dockerFiles, false},
	{"Podman, systemd", "/machine.slice/libpod-" + idA + ".scope", podmanFiles, false},
	{"Podman, systemd, crun", "/machine.slice/libpod-" + idA + ".scope/container", podmanFiles, false},
	{"Podman, cgroupfs", "/libpod_parent/libpod-" + idA, podmanFiles, false},
	{"LXC", "/lxc.payload.web", nil, true},
	{"kind, cgroupfs", "/docker/" + idB + "/kubelet/kubepods/pod1/" + idA, sandboxFiles, true},
	{"kind, systemd", "/docker/" + idB + "/kubelet.slice/kubelet-kubepods-pod1.slice/cri-containerd-" + idA + ".scope", sandboxFiles, true},
}

var (
	sandboxFiles = append(idMounts("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/"+idB, "/etc/hostname", "/etc/resolv.conf"),
		Mount{Point: "/dev/termination-log", Root: "/var/lib/kubelet/pods/1/containers/c/2"})
	dockerFiles = idMounts("/var/lib/docker/containers/"+idA, "/etc/hostname", "/etc/resolv.conf", "/etc/hosts")
	podmanFiles = idMounts("/containers/overlay-containers/"+idA+"/userdata", "/etc/hostname", "/run/.containerenv")
)

// What the agents say of dockerd and of each exec. With the automatic name no agent says
// less than under tini, where cgshim knows the ID.
func TestAgentsFindTheContainer(t *testing.T) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "container\tnamespace\tleaf\t"+strings.Join(columns, "\t"))
	for _, e := range environments {
		for _, private := range []bool{false, true} {
			namespace, seen := "host", e.cgroup
			if private {
				namespace, seen = "private", "/"
			}
			leaf := leafOf(containerID(seen, e.mounts))
			rows := map[string]answers{
				"tini": observed(e.cgroup, e.cgroup, nil),
				"init": observed(e.cgroup, e.cgroup+"/init", []string{"init"}),
				"ID":   observed(e.cgroup, e.cgroup+"/"+idA, []string{idA}),
				"auto": observed(e.cgroup, e.cgroup+"/"+leaf, family(leaf)),
			}
			for _, name := range []string{"tini", "init", "ID", "auto"} {
				fmt.Fprintf(w, "%s\t%s\t%s", e.name, namespace, name)
				for _, column := range columns {
					fmt.Fprint(w, "\t"+rows[name][column])
				}
				fmt.Fprintln(w)
			}
			unknown := e.hidden && private || e.name == "LXC"
			if unknown != (leaf == DefaultLeaf) {
				t.Errorf("%s, %s: the leaf is %s", e.name, namespace, leaf)
			}
			for _, column := range columns {
				tini, got := rows["tini"][column], rows["auto"][column]
				// A name that says more is better. One container has one series.
				better := tini == "none" && got == "outer"
				if got != tini && !better && !unknown || got == "ANOTHER" || got == "inner" || column == "cAdvisor" && got != tini {
					t.Errorf("%s, %s, %s: %s under tini, %s under cgshim", e.name, namespace, column, tini, got)
				}
				if before := rows["init"][column]; unknown && got != before && column != "policy" {
					t.Errorf("%s, %s, %s: %s with init, %s with the automatic name, without an ID", e.name, namespace, column, before, got)
				}
			}
			if rows["auto"]["policy"] != "true" || rows["init"]["policy"] != "false" {
				t.Errorf("%s, %s: only a sibling of the leaf has the policy match", e.name, namespace)
			}
		}
	}
	w.Flush()
	t.Log("\n" + table.String())
}

// The faults that the automatic name is there for. If a rule here no longer has them,
// the table shows nothing.
func TestAgentsLoseALeafThatIsCalledInit(t *testing.T) {
	const container = "/kubepods/burstable/pod1/" + idA
	init := observed(container, container+"/init", []string{"init"})
	for column, want := range map[string]string{"by name": "none", "after restart": "none", "policy": "false", "Falco": "none", "Tracee": "outer", "cAdvisor": "1", "follows": "outer"} {
		if init[column] != want {
			t.Errorf("init, %s: %s", column, init[column])
		}
	}
	if twice := observed(container, container+"/"+idA, []string{idA, "init"})["cAdvisor"]; twice != "2" {
		t.Errorf("a leaf that is called as the container: %s series", twice)
	}
}

// An agent that reads IDs names the inner container, whose ID the node's runtime does not
// know. So does every agent under tini. Only an agent that follows cgroups can name the
// outer container, and only if the inner one is below it.
func TestAgentsNameTheInnerContainer(t *testing.T) {
	const container = "/kubepods/burstable/pod1/" + idA
	for name, cgroup := range map[string]string{"cgshim": container + "/docker/" + idB, "tini in the host's namespace": "/docker/" + idB} {
		for agent, id := range map[string]string{"Tetragon": tetragonByName(cgroup), "Falco": falco(cgroup), "Tracee": tracee(cgroup)} {
			if said(id) != "inner" {
				t.Errorf("%s, %s: %s", name, agent, said(id))
			}
		}
		want := map[bool]string{true: "outer", false: "none"}[name == "cgshim"]
		if got := said(follows(cgroup, container)); got != want {
			t.Errorf("%s: an agent that follows cgroups says %s", name, got)
		}
	}
	if !slices.Contains(columns, "follows") {
		t.Error("the table has no agent that follows cgroups")
	}
}
