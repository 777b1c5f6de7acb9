package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// findKernel returns a vmlinuz: the file that version names, or the newest Debian
// cloud kernel whose version begins with it.
func findKernel(version string) (string, error) {
	if strings.Contains(version, "/") {
		return version, nil
	}
	if version == "" {
		version = "6.1"
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "cgshim", "kernels")
	if have, _ := filepath.Glob(filepath.Join(cache, version, "boot", "vmlinuz-*")); len(have) > 0 {
		return have[0], nil
	}
	name, err := newestPackage(version)
	if err != nil {
		return "", err
	}
	// Into a directory of its own and then renamed: a fetch that is cut off, or two
	// at a time, leave nothing half-done.
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	fmt.Fprintln(os.Stderr, "vmrun: fetching", name)
	for _, step := range []string{"apt-get download -qq " + name, "dpkg-deb -x *.deb root"} {
		cmd := exec.Command("sh", "-c", step)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", step, err, out)
		}
	}
	if err := os.Rename(filepath.Join(work, "root"), filepath.Join(cache, version)); err != nil && !os.IsExist(err) {
		return "", err
	}
	found, _ := filepath.Glob(filepath.Join(cache, version, "boot", "vmlinuz-*"))
	if len(found) == 0 {
		return "", fmt.Errorf("no boot/vmlinuz in %s", name)
	}
	return found[0], nil
}

// newestPackage finds the newest linux-image-VERSION*-cloud-amd64.
func newestPackage(version string) (string, error) {
	out, err := exec.Command("apt-cache", "pkgnames", "linux-image-"+version+".").Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache pkgnames: %w", err)
	}
	pattern := regexp.MustCompile(`^linux-image-[0-9][^ ]*-cloud-amd64$`)
	var names []string
	for _, name := range strings.Fields(string(out)) {
		if pattern.MatchString(name) && downloadable(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("no linux-image-%s*-cloud-amd64: run apt-get update", version)
	}
	return slices.MaxFunc(names, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }), nil
}

// downloadable tells a package from a name that other packages only mention.
func downloadable(name string) bool {
	out, err := exec.Command("apt-cache", "policy", name).Output()
	return err == nil && strings.Contains(string(out), "Candidate:") && !strings.Contains(string(out), "Candidate: (none)")
}

func numbers(name string) (n []int) {
	for _, digits := range regexp.MustCompile(`[0-9]+`).FindAllString(name, -1) {
		i, _ := strconv.Atoi(digits)
		n = append(n, i)
	}
	return n
}
