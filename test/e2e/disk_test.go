package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packages is what the guest's root disk holds, with all that they depend on.
var packages = []string{
	"base-files", "bash", "busybox-static", "coreutils", "procps", "util-linux", "mount", "libc-bin",
	"docker.io", "containerd", "runc", "crun", "apparmor", "tini", "podman", "bpftrace",
	"openjdk-17-jre-headless",
}

// newer are packages of Debian 13 below /trixie: Debian 12's Node knows cgroup v1 alone.
const newer = "nodejs"

// A root file system that no maintainer script has ever run in: what the packages
// would have configured, as far as the programs here want it.
var configured = map[string]string{
	"etc/passwd":                 "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"etc/group":                  "root:x:0:\ntty:x:5:\ndocker:x:999:\nnogroup:x:65534:\n",
	"etc/hostname":               "vm\n",
	"etc/hosts":                  "127.0.0.1 localhost vm\n",
	"etc/nsswitch.conf":          "passwd: files\ngroup: files\nhosts: files\n",
	"etc/containers/policy.json": `{"default":[{"type":"insecureAcceptAnything"}]}`,
}

// rootDisk returns the ext4 image of the guest's root, made once from Debian's
// packages. It has nothing of this repository in it.
func rootDisk() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "cgshim", "disks")
	key := sha256.Sum256(fmt.Append(nil, packages, newer, configured, unpack))
	image := filepath.Join(cache, fmt.Sprintf("%x.ext4", key[:8]))
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	fmt.Fprintln(os.Stderr, "e2e: building the root disk from packages: "+strings.Join(packages, " "))
	cmd := exec.Command("bash", "-euc", unpack, "unpack")
	cmd.Args = append(cmd.Args, packages...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "NEWER="+newer)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpack the packages: %w\n%s", err, out)
	}
	for name, content := range configured {
		name = filepath.Join(work, "root", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	// -d fills the file system without mounting it. No journal: the image is only
	// ever used with what is written to it thrown away.
	raw := filepath.Join(work, "raw")
	mkfs := exec.Command("/usr/sbin/mkfs.ext4", "-q", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", filepath.Join(work, "root"), raw, "6G")
	if out, err := mkfs.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mkfs.ext4: %w\n%s", err, out)
	}
	return image, os.Rename(raw, image)
}

// unpack downloads the packages that a machine with nothing on it would need, and
// unpacks them in ./root. The links come first, as in every Debian since 12:
// directories of packages that are older than the merger go through them.
const unpack = `
mkdir -p archives/partial lists/partial
for root in root root/trixie; do
	for dir in bin sbin lib lib64; do
		mkdir -p "$root/usr/$dir"
		ln -s "usr/$dir" "$root/$dir"
	done
	mkdir -p $root/{dev,proc,sys,tmp,run,root,var/lib,var/tmp,etc}
done
download() {
	apt-get -qq -y -o Dir::State::status=/dev/null -o Dir::Cache::archives="$PWD/archives" \
		-o APT::Install-Recommends=0 install --download-only "$@"
}
download "$@" || { # the lists may be old
	apt-get -qq update
	download "$@"
}
extract() { # FROM TO
	for deb in "$1"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$2" --keep-directory-symlink \
			--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'
	done
}
extract archives root
rm archives/*.deb
# The other release has lists of its own, from the mirror that the machine uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Origin: Debian" "Label: Debian" | head -n 1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >sources.list
other=(-o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$PWD/lists"
	-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o Acquire::Languages=none -o APT::Sandbox::User=root)
apt-get -qq "${other[@]}" update
download "${other[@]}" "$NEWER"
extract archives root/trixie
[ -e root/bin/sh ] || ln -s dash root/bin/sh
`
