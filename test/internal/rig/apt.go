// Package rig has what the tests in virtual machines share: the machine's disk, the
// programs on it, the machine itself, and what a test in it looks at.
package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Apt is a call of one of apt's tools.
func Apt(tool string, options []string, args ...string) *exec.Cmd {
	return exec.Command(tool, slices.Concat(options, args)...)
}

// Cache returns a directory for what is fetched or built once.
func Cache(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "cgshim", name)
	return dir, os.MkdirAll(dir, 0o755)
}

// Releases returns the options by which apt looks into other releases of Debian, on
// the mirror that the machine uses, with lists of its own in dir, and fetches these.
func Releases(dir string, releases ...string) (options []string, err error) {
	out, err := Apt("apt-get", nil, "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian").Output()
	mirror, _, found := strings.Cut(string(out), "\n")
	if err != nil || !found {
		return nil, errors.Join(fmt.Errorf("apt-get indextargets: no mirror of Debian: %q", out), err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "lists", "partial"), 0o755); err != nil {
		return nil, err
	}
	var sources strings.Builder
	for _, release := range releases {
		fmt.Fprintf(&sources, "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", mirror, release)
	}
	if err := os.WriteFile(filepath.Join(dir, "sources.list"), []byte(sources.String()), 0o644); err != nil {
		return nil, err
	}
	for _, option := range []string{
		"Dir::Etc::SourceList=" + filepath.Join(dir, "sources.list"), "Dir::Etc::SourceParts=/dev/null",
		"Dir::State::Lists=" + filepath.Join(dir, "lists"), "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=",
		"Acquire::Languages=none", "APT::Sandbox::User=root",
	} {
		options = append(options, "-o", option)
	}
	if out, err := Apt("apt-get", options, "update", "-qq").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("apt-get update: %w\n%s", err, out)
	}
	return options, nil
}
