package e2e

import "github.com/cgshim/cgshim/test/internal/rig"

// rootDisk is the root disk of the virtual machines.
var rootDisk = rig.Disk{
	Packages: []string{
		"base-files", "bash", "dash", "busybox-static", "coreutils", "procps", "util-linux", "mount", "libc-bin",
		"docker.io", "containerd", "runc", "crun", "apparmor", "tini", "podman", "bpftrace",
		"openjdk-17-jre-headless",
	},
	// Debian 12's Node knows only cgroup v1.
	Beside: map[string][]string{"trixie": {"nodejs"}},
	Files:  map[string]string{"etc/containers/policy.json": `{"default":[{"type":"insecureAcceptAnything"}]}`},
}
