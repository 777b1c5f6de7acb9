package main

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const maintainer = "cgshim maintainers <cgshim@users.noreply.github.com>"

// debian packs a binary with dpkg-deb, which sets every time stamp to
// SOURCE_DATE_EPOCH and every owner to root.
func (r *release) debian(dir string, t target, binary string) (string, error) {
	released, err := r.released()
	if err != nil {
		return "", err
	}
	page, err1 := os.ReadFile(filepath.Join(dir, "docs", "cgshim.8"))
	license, err2 := os.ReadFile(filepath.Join(dir, "LICENSE"))
	program, err3 := os.ReadFile(binary)
	if err := errors.Join(err1, err2, err3); err != nil {
		return "", err
	}
	tree := filepath.Join(dir, "bin", "deb-"+t.debian)
	doc := "usr/share/doc/cgshim/"
	files := []struct {
		name string
		data []byte
		mode os.FileMode
	}{
		{"usr/bin/cgshim", program, 0o755},
		{"usr/share/man/man8/cgshim.8.gz", compress(page), 0o644},
		{doc + "copyright", copyright(string(license)), 0o644},
		{doc + "changelog.gz", compress(r.changelog(released)), 0o644},
		{"usr/share/lintian/overrides/cgshim", []byte(overrides), 0o644},
	}
	var sums strings.Builder
	for _, f := range files {
		if err := write(filepath.Join(tree, f.name), f.data, f.mode); err != nil {
			return "", err
		}
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.name)
	}
	control := fmt.Sprintf(`Package: cgshim
Version: %s
Architecture: %s
Maintainer: %s
Installed-Size: %d
Section: admin
Priority: optional
Homepage: https://github.com/cgshim/cgshim
Description: init for containers that run containers
 cgshim is the first process of a container that has a container engine
 inside, in place of tini and of the shell script around dockerd. It makes
 the container's cgroup the root of its view, moves the processes into a
 leaf and delegates all controllers, so that the inner containers stay
 below the outer one's limits and are seen there from the host. Then it
 starts one program, forwards signals to it, reaps every orphan and exits
 with the program's status.
`, r.version, t.debian, maintainer, (len(program)+len(page)+len(license))/1024+8)
	if err := errors.Join(
		write(filepath.Join(tree, "DEBIAN/control"), []byte(control), 0o644),
		write(filepath.Join(tree, "DEBIAN/md5sums"), []byte(sums.String()), 0o644),
		filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o755)
			}
			return err
		}),
	); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "bin", fmt.Sprintf("cgshim_%s_%s.deb", r.version, t.debian))
	cmd := exec.Command("dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, file)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", released.Unix()))
	return file, run(cmd)
}

// Lintian reads a Go binary as a C one that was linked the wrong way.
const overrides = `# PID 1 of images that hold nothing else: no libc, no loader.
cgshim: statically-linked-binary [usr/bin/cgshim]
`

// released is the time of the commit, as the build's only clock.
func (r *release) released() (time.Time, error) {
	cmd := exec.Command("git", "log", "-1", "--format=%cI")
	cmd.Dir = r.root
	out, err := cmd.Output()
	if err != nil {
		return time.Time{}, fmt.Errorf("git log: %w", err)
	}
	return time.Parse(time.RFC3339, strings.TrimSpace(string(out)))
}

func (r *release) changelog(released time.Time) []byte {
	return fmt.Appendf(nil, "cgshim (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md in the sources.\n\n -- %s  %s\n",
		r.version, maintainer, released.Format(time.RFC1123Z))
}

// copyright is in the machine-readable format 1.0 of the Debian policy.
func copyright(license string) []byte {
	var out strings.Builder
	out.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n")
	out.WriteString("Upstream-Name: cgshim\nSource: https://github.com/cgshim/cgshim\n\nFiles: *\n")
	for _, line := range strings.Split(license, "\n") {
		if holder, found := strings.CutPrefix(line, "Copyright (c) "); found {
			out.WriteString("Copyright: " + holder + "\n")
		}
	}
	out.WriteString("License: Expat\n")
	_, text, _ := strings.Cut(license, "\n\nPermission")
	for _, line := range strings.Split(strings.TrimSpace("Permission"+text), "\n") {
		if line == "" {
			line = "."
		}
		out.WriteString(" " + line + "\n")
	}
	return []byte(out.String())
}

// compress leaves out name and time, as gzip -n does (Debian policy 12.7).
func compress(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Bytes()
}
