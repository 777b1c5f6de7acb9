package systems

import (
	"os"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// kubernetes is the version of test/programs/kubernetes/go.mod. The programs ask their
// linker flags for it.
const kubernetes = "v1.37.2"

func kubernetesProgram(name string) rig.Program {
	p := rig.Program{Module: "kubernetes", Package: "k8s.io/kubernetes/cmd/" + name}
	for _, of := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		p.Flags = append(p.Flags, "-X "+of+".gitVersion="+kubernetes, "-X "+of+".gitMajor=1", "-X "+of+".gitMinor=37")
	}
	return p
}

// withAPI asks for an API server beside the kubelet.
func withAPI() bool { return os.Getenv("CGSHIM_K8S_API") != "" }

// rootDisk is the guest's: Debian 13 with systemd, and today's container programs from
// the Go module proxy, which are newer than Debian's.
func rootDisk() rig.Disk {
	d := rig.Disk{
		Release: "trixie",
		Packages: append(rig.Basics, "kmod",
			"systemd", "systemd-sysv", "dbus", "grep", "docker-cli", "crun", "apparmor", "iptables", "tini", "lxc"),
		Files: map[string]string{
			"etc/machine-id":             "0123456789abcdef0123456789abcdef\n",
			"etc/fstab":                  "",
			"etc/resolv.conf":            "nameserver 127.0.0.1\n",
			"etc/cni/net.d/one.conflist": `{"cniVersion":"1.0.0","name":"one","plugins":[{"type":"one"}]}`,
			"opt/cni/bin/one":            onePlugin,
			"opt/cni/bin/loopback":       onePlugin,
		},
		// The scripts of the peers use these programs.
		Links: map[string]string{"usr/bin/sed": "busybox", "usr/bin/xargs": "busybox"},
		Programs: []rig.Program{
			{Module: "containerd", Package: "github.com/containerd/containerd/v2/cmd/containerd", Flags: []string{"-tags=urfave_cli_no_docs"}},
			{Module: "containerd", Package: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
			{Module: "containerd", Package: "github.com/containerd/containerd/v2/cmd/ctr"},
			// Seccomp would need a C library. No pod of these tests has a seccomp profile.
			{Module: "runc", Package: "github.com/opencontainers/runc", Cgo: true, Flags: []string{"-tags=netgo,osusergo", "-extldflags -static"}},
			{Module: "moby", Package: "github.com/moby/moby/v2/cmd/dockerd"},
			kubernetesProgram("kubelet"),
		},
	}
	for _, unit := range idle {
		d.Links["etc/systemd/system/"+unit] = "/dev/null"
	}
	if withAPI() {
		d.Programs = append(d.Programs, kubernetesProgram("kube-apiserver"),
			rig.Program{Module: "etcd", Package: "go.etcd.io/etcd/server/v3", Output: "etcd"})
	}
	return d
}

// onePlugin is a network plugin that gives every pod the same address and no network
// (the CNI specification 1.0.0, "ADD Success"). A pod in a user namespace cannot have
// the host's.
const onePlugin = `#!/bin/sh
case $CNI_COMMAND in
ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"'$CNI_IFNAME'","sandbox":"'$CNI_NETNS'"}],"ips":[{"interface":0,"address":"10.88.0.2/24"}]}' ;;
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}' ;;
esac
`

// idle are units that a machine of one run has no use for.
var idle = []string{
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "fstrim.timer",
	"getty.target", "getty@tty1.service", "serial-getty@ttyS0.service", "ldconfig.service", "lxc.service", "lxc-net.service",
	"lxc-monitord.service", "apparmor.service", "systemd-binfmt.service", "systemd-firstboot.service", "systemd-hwdb-update.service",
	"systemd-journal-catalog-update.service", "systemd-machine-id-commit.service", "systemd-networkd.service", "systemd-pcrphase.service",
	"systemd-random-seed.service", "systemd-timesyncd.service", "systemd-tpm2-setup.service", "systemd-tpm2-setup-early.service", "systemd-udev-settle.service",
	"systemd-update-done.service", "systemd-user-sessions.service", "systemd-logind.service", "tpm2.target",
}
