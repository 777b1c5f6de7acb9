package cgroup

import (
	"slices"
	"strings"
	"testing"
)

const (
	idA = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	idB = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

	leafA = "0123456789abcdef0123456789abcdef01234567....................init"
)

func TestTheIDInThePathOfTheContainersCgroup(t *testing.T) {
	for _, c := range []struct{ name, path, id string }{
		{"the cgroupfs driver", "/kubepods/burstable/pod1/" + idA, idA},
		{"Docker with the cgroupfs driver", "/docker/" + idA, idA},
		{"Docker as a scope", "/system.slice/docker-" + idA + ".scope", idA},
		{"containerd as a scope", "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + idA + ".scope", idA},
		{"CRI-O as a scope", "/kubepods.slice/kubepods-pod1.slice/crio-" + idA + ".scope", idA},
		{"CRI-O with the cgroupfs driver", "/kubepods/pod1/crio-" + idA, idA},
		{"Podman as a scope", "/machine.slice/libpod-" + idA + ".scope", idA},
		{"Podman with the cgroup that crun makes", "/machine.slice/libpod-" + idA + ".scope/container", idA},
		{"a systemd name with the cgroupfs driver", "/kubepods-pod1.slice:cri-containerd:" + idA, idA},
		{"a pod in kind's node", "/docker/" + idB + "/kubelet.slice/kubelet-kubepods.slice/cri-containerd-" + idA + ".scope", idA},
		{"a container of another manager in a container", "/docker/" + idB + "/lxc.payload.web", ""},
		{"a service in a container", "/docker/" + idB + "/system.slice/cgshim.service", ""},
		{"LXC", "/lxc.payload.web", ""},
		{"a task of ECS", "/ecs/9781c248f5f14b5a9dd0b1b8a4c2d9e4/9781c248f5f14b5a9dd0b1b8a4c2d9e4-3242635318", ""},
		{"too short", "/docker/" + idA[1:], ""},
		{"too long", "/docker/0" + idA, ""},
		{"not hexadecimal", "/docker/g" + idA[1:], ""},
		{"a leaf", "/docker/" + idB + "/" + leafA, ""},
		{"no cgroup", "", ""},
	} {
		if got := containerID(c.path, nil); got != c.id {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// files returns the mounts of files below a directory of the runtime's.
func idMounts(dir string, points ...string) (mounts []Mount) {
	for _, point := range points {
		mounts = append(mounts, Mount{Point: point, Root: dir + point[strings.LastIndexByte(point, '/'):]})
	}
	return mounts
}

func TestTheIDInTheMountsOfAPrivateNamespace(t *testing.T) {
	etc := []string{"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}
	docker := idMounts("/var/lib/docker/containers/"+idA, etc...)
	kubelet := []Mount{{Point: "/dev/termination-log", Root: "/var/lib/kubelet/pods/1/containers/c/2"}}
	ofPod := []Mount{{Point: "/etc/hosts", Root: "/var/lib/kubelet/pods/1/etc-hosts"}}
	sandbox := idMounts("/containers/overlay-containers/"+idB+"/userdata", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv")
	for _, c := range []struct {
		name   string
		mounts []Mount
		id     string
	}{
		{"Docker", docker, idA},
		{"Docker, with its files on a file system of their own", idMounts("/containers/"+idA, etc...), idA},
		{"Docker, with a resolv.conf of the user's", append([]Mount{{Point: "/etc/resolv.conf", Root: "/home/me/resolv.conf"}}, docker[1:]...), idA},
		{"Docker, with a hostname of the user's on top", append(slices.Clone(docker), Mount{Point: "/etc/hostname", Root: "/etc/hostname"}), idA},
		{"files of two containers", append(idMounts("/containers/"+idB, "/etc/hosts"), docker[:2]...), ""},
		{"Podman", idMounts("/containers/overlay-containers/"+idA+"/userdata", append(etc, "/run/.containerenv")...), idA},
		{"Podman, in the network of another container", append(idMounts("/c/overlay-containers/"+idB+"/userdata", "/etc/resolv.conf", "/etc/hosts"), idMounts("/c/overlay-containers/"+idA+"/userdata", "/etc/hostname", "/run/.containerenv")...), idA},
		{"containerd for Kubernetes, which shows the sandbox", append(idMounts("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/"+idB, etc[:2]...), kubelet...), ""},
		{"containerd for crictl, without a kubelet", idMounts("/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/"+idB, etc[:2]...), ""},
		{"CRI-O, which shows the sandbox", slices.Concat(sandbox, kubelet, ofPod), ""},
		{"CRI-O without a file for the last words", slices.Concat(sandbox, ofPod), ""},
		{"CRI-O with hosts of the user's", slices.Concat(sandbox, kubelet), ""},
		{"Docker for Kubernetes, which shows the sandbox", slices.Concat(idMounts("/var/lib/docker/containers/"+idB, etc[:2]...), kubelet, ofPod), ""},
		{"no files of a runtime", []Mount{{Point: "/", Root: "/"}, {Point: "/etc/hostname", Root: "/etc/hostname"}}, ""},
		{"nothing", nil, ""},
	} {
		if got := containerID("/", c.mounts); got != c.id {
			t.Errorf("%s: %q", c.name, got)
		}
		if got := containerID("/machine/web", c.mounts); got != "" {
			t.Errorf("%s: the path is known, and has no ID, but %q is found", c.name, got)
		}
	}
}

func TestTheNameOfTheLeaf(t *testing.T) {
	if got := leafOf(idA); got != leafA || len(got) != 64 {
		t.Errorf("%q", got)
	}
	if got := leafOf(""); got != "init" {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]bool{
		leafA: true, "init": true, "init.scope": true, "shim": true,
		idA: false, leafA[1:]: false, "0" + leafA: false, "g" + leafA[1:]: false, leafA + ".scope": false, "": false,
		strings.Replace(leafA, "01234567..", "01234567ab", 1): false, "docker": false, "spare": false,
	} {
		if known(name, "shim") != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if siblingOf("init") == "init" || siblingOf(leafA) != "init" || siblingOf("spare") != "init" {
		t.Error("a leaf and its sibling have one name, or Kata's agent finds no init")
	}
}

// asDocker is a container of Docker's in the host's cgroup namespace.
func asDocker(f *Facts) {
	hostView(f)
	f.Unified, f.Own.Path, f.Container = "/docker/"+idA, mountPoint+"/docker/"+idA, idA
}

func TestEveryRunKnowsTheLeaf(t *testing.T) {
	hidden := func(f *Facts) { f.Container = "" }
	sibling := func(f *Facts) { f.Own.Path, f.Unified = mountPoint+"/init", "/init" }
	for _, c := range []struct {
		name   string
		facts  *Facts
		option string
		state  State
		leaf   string
	}{
		{"first run", container(asDocker), "", HostView, leafA},
		{"first run in a private namespace", container(func(f *Facts) { f.Container = idA }), "", Private, leafA},
		{"first run, without an ID", container(), "", Private, "init"},
		{"first run, with a name", container(asDocker), "init", HostView, "init"},
		{"second run", container(nested(leafA)), "", Delegated, leafA},
		{"second run, with another name", container(nested(leafA)), "init", Delegated, leafA},
		{"second run after one with the name init", container(func(f *Facts) { f.Container = idA }, nested("init")), "", Delegated, "init"},
		{"second run in systemd's leaf", container(func(f *Facts) { f.Container = idA }, nested("init.scope")), "", Delegated, "init.scope"},
		{"an exec", container(nested(leafA), execed, initIn("/"+leafA)), "", Delegated, leafA},
		{"an exec by runc, in the host's namespace", container(nested(leafA), execed, mountOfOwn), "", Delegated, leafA},
		{"an exec by Kata's agent, in the sibling", container(nested(leafA), execed, initIn("/"+leafA), sibling), "", Delegated, leafA},
		{"below systemd that moved deeper", container(nested(leafA + "/init.scope")), "", Delegated, leafA},
		{"killed before it enabled anything", container(hostView, nested(leafA), nothingEnabled, execed, initIn("/"+leafA), hidden), "", Interrupted, leafA},
		{"killed before it enabled anything, private", container(nested(leafA), nothingEnabled), "", Interrupted, leafA},
		{"the leaf of another container", container(nested(leafA), strangers), "", NotOurs, "init"},
	} {
		p := Decide(c.facts, Options{Leaf: c.option, Anywhere: true, Mirror: MirrorNothing})
		if p.State != c.state || p.leaf != c.leaf {
			t.Errorf("%s: %q (%+v), leaf %q", c.name, p.State, p.Refusal, p.leaf)
		}
		for _, step := range p.Steps {
			if keep, ok := step.action.(keepStep); ok && !keep.pin && !keep.quiet {
				t.Errorf("%s: a note that says what the name of the leaf says is missed", c.name)
			}
		}
	}
}
