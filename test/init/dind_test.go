package init

import (
	"strings"
	"syscall"
	"testing"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// dind runs a script under cgshim with a /run of its own, which another script
// prepares.
func dind(t *testing.T, prepare, options, script string) *lab.Run {
	t.Helper()
	lab.Root(t)
	r := &lab.Run{Path: "/bin/sh", PID1: true, Attr: syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}}
	r.Args = []string{"-c", "mount --make-rprivate / && mount -t proc proc /proc && mount -t tmpfs tmpfs /run && cp " + lab.Cgshim(t) + " /run/cgshim && " +
		prepare + " && exec /run/cgshim --cgroup=off " + options + ` -- sh -c "$0"`, script}
	return r
}

func TestDindChores(t *testing.T) {
	r := dind(t, "mkdir /run/docker && echo 4194305 >/run/docker.pid && echo 4194305 >/run/docker/containerd.pid && echo 1 >/run/other.pid",
		"--dind", `echo container=$container; find /run -name "*.pid"; grep " / / " /proc/self/mountinfo; stat -f -c security=%T /sys/kernel/security`)
	status := r.Do(t)
	out := r.Stdout.String()
	if status != 0 || !strings.Contains(out, "container=docker\n/run/other.pid\n") || !strings.Contains(out, " shared:") || !strings.Contains(out, "security=securityfs") {
		t.Errorf("%d, %q, %q", status, out, r.Stderr.String())
	}
}

// The pid file of a live daemon stays. A pid file with the init's own PID is stale, and
// so is an empty one.
func TestDindKeepsThePidFileOfALiveDaemon(t *testing.T) {
	r := dind(t, "cp /bin/sleep /run/dockerd-own && mkdir /run/sub && { /run/dockerd-own 1000 & echo $! >/run/sub/docker.pid; } && "+
		"echo 1 >/run/docker.pid && : >/run/containerd.pid && mv /run/cgshim /run/docker-init && ln -s docker-init /run/cgshim",
		"--dind", `find /run -name "*.pid"`)
	if status := r.Do(t); status != 0 || r.Stdout.String() != "/run/sub/docker.pid\n" {
		t.Errorf("%d, %q, %q", status, r.Stdout.String(), r.Stderr.String())
	}
}

// The options of other programs than dockerd are unknown, and a file without a PID is
// no pid file.
func TestDindDeletesPidFilesAlone(t *testing.T) {
	for program, left := range map[string]string{"other": "notes stale\n", "dockerd": "notes\n"} {
		r := dind(t, "printf '#!/bin/sh\\ncd /run; ls | grep -E \"notes|stale\" | xargs' >/run/"+program+" && chmod +x /run/"+program+" && "+
			"echo keep >/run/notes && echo 4194305 >/run/stale && exec /run/cgshim --cgroup=off --dind -- /run/"+program+" -p /run/stale --pidfile=/run/notes", "", "")
		if status := r.Do(t); status != 0 || r.Stdout.String() != left {
			t.Errorf("%s: %d, %q, %q", program, status, r.Stdout.String(), r.Stderr.String())
		}
	}
}

// Only the host's user namespace can mount securityfs, so there is nothing to warn of.
func TestDindInAUserNamespaceDoesNotWarnAboutSecurityfs(t *testing.T) {
	r := dind(t, "true", "--dind", "exit 7")
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	r.Attr.Cloneflags |= syscall.CLONE_NEWUSER
	r.Attr.UidMappings, r.Attr.GidMappings = ids, ids
	if status := r.Do(t); status != 7 || strings.Contains(r.Stderr.String(), "securityfs") {
		t.Errorf("%d, %q", status, r.Stderr.String())
	}
}

func TestDindKeepsWhatIsSet(t *testing.T) {
	r := dind(t, "export container=podman", "--dind", "echo container=$container")
	if r.Do(t); r.Stdout.String() != "container=podman\n" {
		t.Errorf("%q, %q", r.Stdout.String(), r.Stderr.String())
	}
	r = dind(t, "unset container; echo 4194305 >/run/docker.pid", "", "echo container=$container; ls /run; grep -c shared: /proc/self/mountinfo")
	if r.Do(t); r.Stdout.String() != "container=\ncgshim\ndocker.pid\n0\n" {
		t.Errorf("without --dind: %q, %q", r.Stdout.String(), r.Stderr.String())
	}
}

// A process that sees the host's PID 1 with its own mounts is on the host. Here the host
// is a PID namespace with its PID 1, and cgshim is in a PID namespace below.
func TestDindOnAHost(t *testing.T) {
	for name, how := range map[string]string{"--dind": "/run/cgshim --dind", "CGSHIM_DIND": "env CGSHIM_DIND=1 /run/cgshim"} {
		r := dind(t, "mount -t tmpfs sys /sys && mkdir -p /sys/kernel/security && echo 4194305 >/run/docker.pid && cp /proc/self/mountinfo /run/before && "+
			"exec unshare --pid --fork "+how+" --cgroup=off -- sh -c 'ls /run/docker.pid; cat /proc/self/mountinfo | diff - /run/before && echo same; echo container=$container'", "", "")
		status := r.Do(t)
		if out, said := r.Stdout.String(), r.Stderr.String(); status != 0 || out != "/run/docker.pid\nsame\ncontainer=docker\n" ||
			strings.Count(said, "\n") != 1 || !strings.Contains(said, "docker-in-docker chores skipped") {
			t.Errorf("%s: %d, %q, %q", name, status, out, said)
		}
	}
}
