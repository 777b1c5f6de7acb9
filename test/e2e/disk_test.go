package e2e

import "github.com/cgshim/cgshim/test/internal/rig"

// basics are the packages of both disks.
var basics = append(rig.Basics, "tini")

// dockerDisk is the root disk of the machines with dockerd.
var dockerDisk = rig.Disk{
	Packages: append([]string{"docker.io", "containerd", "runc", "crun", "apparmor", "podman", "bpftrace"}, basics...),
	Files:    map[string]string{"etc/containers/policy.json": `{"default":[{"type":"insecureAcceptAnything"}]}`},
}

// programsDisk is the root disk of the machine with the programs that size themselves by
// their cgroup.
var programsDisk = rig.Disk{
	Packages: append([]string{"openjdk-17-jre-headless"}, basics...),
	// Debian 12's Node knows only cgroup v1.
	Beside: map[string][]string{"trixie": {"nodejs"}},
}
