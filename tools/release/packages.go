package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/cgshim/cgshim/tools/internal/tree"
)

// formats are the formats of the packages, for Debian, Fedora and Alpine.
var formats = []string{"deb", "rpm", "apk"}

// packages has nfpm pack a binary in each format. dir is a copy of the sources.
func (r *release) packages(dir string, t target, binary string) (files []string, err error) {
	released, author, err := r.head()
	if err != nil {
		return nil, err
	}
	maintainer := cmp.Or(os.Getenv("MAINTAINER"), author)
	page, err1 := os.ReadFile(filepath.Join(dir, "docs", "cgshim.8"))
	license, err2 := os.ReadFile(filepath.Join(dir, "LICENSE"))
	notices, err3 := os.ReadFile(filepath.Join(dir, "NOTICE"))
	program, err4 := os.ReadFile(binary)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	stage := filepath.Join(dir, "bin", "package-"+t.name)
	for name, data := range map[string][]byte{
		"cgshim":            program,
		"cgshim.8.gz":       compress(page),
		"LICENSE":           license,
		"NOTICE":            notices,
		"copyright":         copyright(string(license), string(notices)),
		"changelog.gz":      compress(r.changelog(released, maintainer)),
		"lintian-overrides": []byte(overrides),
	} {
		if err := tree.Write(filepath.Join(stage, name), data, 0o644); err != nil {
			return nil, err
		}
	}
	for _, format := range formats {
		file := filepath.Join(dir, "bin", "cgshim-linux-"+t.name+"."+format)
		cmd := exec.Command("go", "tool", "-modfile="+filepath.Join(dir, "tools", "go.mod"), "nfpm", "package",
			"--config", filepath.Join(dir, "tools", "release", "nfpm.yaml"), "--packager", format, "--target", file)
		cmd.Dir = stage
		cmd.Env = append(os.Environ(), "VERSION="+r.version, "ARCH="+t.goarch+t.goarm,
			"MAINTAINER="+maintainer, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", released.Unix()))
		if err := run(cmd); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// Lintian warns of a static binary, because Debian links C programs dynamically.
const overrides = `# PID 1 of images that hold nothing else: no libc, no loader.
cgshim: statically-linked-binary [usr/bin/cgshim]
`

// head returns the time and the author of the commit. The build uses no other time. The author is
// the maintainer of the packages unless MAINTAINER names another one.
func (r *release) head() (released time.Time, author string, err error) {
	cmd := exec.Command("git", "log", "-1", "--format=%cI%n%an <%ae>")
	cmd.Dir = r.root
	out, err := cmd.Output()
	if err != nil {
		return time.Time{}, "", fmt.Errorf("git log: %w", err)
	}
	date, author, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	released, err = time.Parse(time.RFC3339, date)
	return released, author, err
}

// changelog returns the changelog that Debian's policy asks for. A pre-release needs a
// tilde in its version to sort before the release (deb-version(7)). nfpm writes the
// version in the same way.
func (r *release) changelog(released time.Time, maintainer string) []byte {
	return fmt.Appendf(nil, "cgshim (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md in the sources.\n\n -- %s  %s\n",
		strings.Replace(r.version, "-", "~", 1), maintainer, released.Format(time.RFC1123Z))
}

// copyright returns the copyright file in Debian's machine-readable format 1.0. The sources
// have no code of others, so the licences of what is linked in are a comment.
func copyright(license, notices string) []byte {
	var out strings.Builder
	out.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n")
	out.WriteString("Upstream-Name: cgshim\nComment:\n" + indented(notices) + "\nFiles: *\n")
	for _, line := range strings.Split(license, "\n") {
		if holder, found := strings.CutPrefix(line, "Copyright (c) "); found {
			out.WriteString("Copyright: " + holder + "\n")
		}
	}
	_, text, _ := strings.Cut(license, "\n\nPermission")
	out.WriteString("License: Expat\n" + indented("Permission"+text))
	return []byte(out.String())
}

// indented returns text as the value of a field of several lines (deb822(5)).
func indented(text string) string {
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if strings.TrimSpace(line) == "" {
			line = "."
		}
		out.WriteString(" " + line + "\n")
	}
	return out.String()
}

// compress compresses data without a name and a time, as gzip -n does (Debian policy
// 12.7).
func compress(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return out.Bytes()
}
