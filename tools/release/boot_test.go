package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cgshim/cgshim/tools/internal/tree"
)

// The guest's PID 1 is a shell that becomes cgshim. The program of this cgshim tries
// other runs of cgshim, each in a PID namespace of its own. The last run also has a
// mount namespace and a cgroup of its own, as in a container.
const guestInit = `#!/bin/sh
exec /cgshim -v -- /bin/sh /smoke.sh
`

const guestScript = `
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
try() { name=$1; shift; unshare -p -f "$@"; echo "smoke: $name: $?"; }
echo "smoke: PID 1 is $(cat /proc/1/comm) on $(uname -m)"
try version /cgshim --version
try status /cgshim -- sh -c 'exit 7'
try killed /cgshim -- sh -c 'kill -KILL $$'
try missing /cgshim -- no-such-program
try plain /cgshim -- /smoke.sh
try orphan /cgshim -w -- sh -c 'orphan=$( (sleep 0.1 >/dev/null & echo $!) ); while kill -0 $orphan 2>/dev/null; do sleep 0.02; done'
try signals /cgshim -- sh -c '
	trap "echo smoke: got HUP; kill -TERM 1" HUP
	trap "echo smoke: got TERM; exit 42" TERM
	kill -HUP 1
	while :; do sleep 0.05; done'
echo "+cpu +memory +pids" > /sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/box
try delegation -m sh -c '
	mount -t proc proc /proc
	echo 0 > /sys/fs/cgroup/box/cgroup.procs
	exec /cgshim --cgroup=require -- sh -c "
		echo smoke: in \$(cat /proc/self/cgroup), delegated \$(cat /sys/fs/cgroup/cgroup.subtree_control)"'
echo "smoke: done"
`

const guestSays = `smoke: PID 1 is cgshim on aarch64
smoke: version: 0
smoke: status: 7
smoke: killed: 137
smoke: missing: 127
smoke: plain: 126
smoke: orphan: 0
smoke: got HUP
smoke: got TERM
smoke: signals: 42
smoke: in 0::/init, delegated cpu memory pids
smoke: delegation: 0
smoke: done
`

// TestArm64BinaryOnItsOwnKernel boots a Debian kernel with cgshim as its init, because
// the assembly and the signals of this port need a real kernel.
func TestArm64BinaryOnItsOwnKernel(t *testing.T) {
	if !slices.ContainsFunc(targets, func(made target) bool { return made.name == "arm64" }) {
		return // ONLY leaves this port out
	}
	kernel, busybox := arm64(t)
	root := t.TempDir()
	program, err1 := os.ReadFile(filepath.Join(dist, "cgshim-linux-arm64"))
	shell, err2 := os.ReadFile(busybox)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	for _, f := range []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"init", []byte(guestInit), 0o755},
		{"smoke.sh", []byte(guestScript), 0o644},
		{"cgshim", program, 0o755},
		{"bin/busybox", shell, 0o755},
	} {
		if err := tree.Write(filepath.Join(root, f.name), f.data, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"proc", "sys", "dev"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, applet := range []string{"cat", "kill", "mkdir", "mount", "sh", "sleep", "uname", "unshare"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(t.TempDir(), "image.cpio")
	pack := exec.Command("sh", "-c", `find . | busybox cpio -o -H newc > "$0"`, image)
	pack.Dir = root
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v\n%s", err, out)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	machine := exec.CommandContext(ctx, "qemu-system-aarch64",
		"-machine", "virt", "-cpu", "max", "-accel", "tcg,thread=multi", "-smp", "2", "-m", "1G",
		"-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio", "-kernel", kernel, "-initrd", image,
		"-append", "console=ttyAMA0 quiet panic=-1 loglevel=3 rdinit=/init")
	console, err := machine.CombinedOutput()
	console = bytes.ReplaceAll(console, []byte("\r"), nil)
	var said strings.Builder
	for line := range strings.Lines(string(console)) {
		if strings.HasPrefix(line, "smoke: ") {
			said.WriteString(line)
		}
	}
	if said.String() != guestSays {
		t.Errorf("the guest said\n%s\nwant\n%s\nqemu: %v, console\n%s", said.String(), guestSays, err, console)
	}
}

// arm64 downloads a kernel and a static busybox for arm64. It uses package lists of its
// own, so that the package manager of this machine stays as it is.
func arm64(t *testing.T) (kernel, busybox string) {
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "cgshim", "arm64")
	find := func() bool {
		kernels, _ := filepath.Glob(filepath.Join(dir, "root", "boot", "vmlinuz-*"))
		busybox = filepath.Join(dir, "root", "bin", "busybox")
		if _, err := os.Stat(busybox); err != nil || len(kernels) != 1 {
			return false
		}
		kernel = kernels[0]
		return true
	}
	if find() {
		return kernel, busybox
	}
	t.Log("downloading a kernel and busybox for arm64")
	fetch := exec.Command("sh", "-euc", `
		rm -rf "$0"
		mkdir -p "$0/lists/partial" "$0/cache/archives/partial"
		cd "$0"
		apt() {
			tool=$1
			shift
			"$tool" -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=root \
				-o Dir::State::Lists="$PWD/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$PWD/cache" "$@"
		}
		apt apt-get update
		kernel=$(apt apt-cache depends linux-image-cloud-arm64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
		apt apt-get download "$kernel" busybox-static
		for package in *.deb; do
			dpkg-deb -x "$package" root
		done
		rm -rf lists cache ./*.deb root/lib/modules root/usr/lib/modules`, dir)
	if out, err := fetch.CombinedOutput(); err != nil {
		t.Fatalf("download: %v\n%s", err, out)
	}
	if !find() {
		t.Fatalf("no kernel and busybox in %s", dir)
	}
	return kernel, busybox
}
