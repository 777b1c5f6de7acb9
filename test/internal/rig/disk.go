package rig

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Disk is a guest's root file system, made once from Debian's packages. It has nothing
// of this repository in it.
type Disk struct {
	Release  string   // of Debian, "" the machine's own
	Packages []string // with all that they depend on
	// Beside are packages of other releases, below a directory of the release's name.
	Beside   map[string][]string
	Files    map[string]string // what the packages would have configured, by path
	Links    map[string]string
	Programs []Program
}

// Basics are the packages that every disk has.
var Basics = []string{"base-files", "bash", "dash", "busybox-static", "coreutils", "procps", "util-linux", "mount", "libc-bin"}

// Configured is what every disk has: no maintainer script has ever run in it.
var Configured = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"etc/group":         "root:x:0:\ntty:x:5:\ndocker:x:999:\nnogroup:x:65534:\n",
	"etc/hostname":      "vm\n",
	"etc/hosts":         "127.0.0.1 localhost vm\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

// Image returns the disk's ext4 image.
func (d Disk) Image() (string, error) {
	cache, err := Cache("disks")
	if err != nil {
		return "", err
	}
	key, err := d.key()
	if err != nil {
		return "", err
	}
	image := filepath.Join(cache, key+".ext4")
	if _, err := os.Stat(image); err == nil {
		return image, nil
	}
	work, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	root := filepath.Join(work, "root")
	if err := unpackInto(work, root, d.Release, d.Packages); err != nil {
		return "", err
	}
	for release, packages := range d.Beside {
		if err := unpackInto(work, filepath.Join(root, release), release, packages); err != nil {
			return "", err
		}
	}
	for _, files := range []map[string]string{Configured, d.Files} {
		for name, content := range files {
			if err := write(filepath.Join(root, name), content); err != nil {
				return "", err
			}
		}
	}
	for name, target := range d.Links {
		if err := link(filepath.Join(root, name), target); err != nil {
			return "", err
		}
	}
	// The link to dash is made without dash too.
	if _, err := os.Stat(filepath.Join(root, "usr/bin/sh")); err != nil {
		return "", fmt.Errorf("the disk has no shell: add a package or a link: %w", err)
	}
	for _, p := range d.Programs {
		if err := p.build(filepath.Join(root, "usr/local/bin")); err != nil {
			return "", err
		}
	}
	// -d fills the file system without mounting it. No journal: the image is only
	// ever used with what is written to it thrown away.
	raw := filepath.Join(work, "raw")
	mkfs := exec.Command("/usr/sbin/mkfs.ext4", "-q", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", root, raw, "6G")
	if out, err := mkfs.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mkfs.ext4: %w\n%s", err, out)
	}
	return image, os.Rename(raw, image)
}

// key names the disk by all that goes into it.
func (d Disk) key() (string, error) {
	sum := sha256.New()
	fmt.Fprint(sum, d, Configured, unpack)
	for _, p := range d.Programs {
		for _, name := range []string{"go.mod", "go.sum"} {
			data, err := os.ReadFile(filepath.Join(p.dir(), name))
			if err != nil {
				return "", err
			}
			sum.Write(data)
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// unpackInto unpacks the packages of a release, "" the machine's own, in root.
func unpackInto(work, root, release string, packages []string) error {
	fmt.Fprintln(os.Stderr, "rig: building a root disk from packages: "+strings.Join(packages, " "))
	var options []string
	if release != "" {
		var err error
		if options, err = Releases(filepath.Join(work, "apt-"+release), release); err != nil {
			return err
		}
	}
	cmd := exec.Command("bash", append(append([]string{"-euc", unpack, root}, options...), "--")...)
	cmd.Args = append(cmd.Args, packages...)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack the packages: %w\n%s", err, out)
	}
	return nil
}

func write(name, content string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(content, "#!") {
		mode = 0o755
	}
	return os.WriteFile(name, []byte(content), mode)
}

// link makes a symbolic link, in place of a file if there is one.
func link(name, target string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	_ = os.Remove(name)
	return os.Symlink(target, name)
}

// unpack downloads the packages that a machine with nothing on it would need, and
// unpacks them in its argument 0. The links come first, as in every Debian since 12:
// directories of packages that are older than the merger go through them.
const unpack = `
root=$0
options=()
while [ "$1" != -- ]; do options+=("$1"); shift; done
shift
mkdir -p archives/partial
for dir in bin sbin lib lib64; do
	mkdir -p "$root/usr/$dir"
	ln -s "usr/$dir" "$root/$dir"
done
mkdir -p "$root"/{dev,proc,sys,tmp,run,root,var/lib,var/tmp,etc}
download() {
	apt-get -qq -y "${options[@]}" -o Dir::State::status=/dev/null -o Dir::Cache::archives="$PWD/archives" \
		-o APT::Install-Recommends=0 install --download-only "$@"
}
download "$@" || { # the lists may be old
	apt-get -qq "${options[@]}" update
	download "$@"
}
for deb in archives/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
		--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*'
done
rm archives/*.deb
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
`
