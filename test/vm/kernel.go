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
	// Into a directory of its own and then renamed: a fetch that is cut off, or two
	// at a time, leave nothing half-done.
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	root, err := fetch(version, cache)
	if err != nil { // the lists may be old: of a version that the mirror has no more
		if out, failed := exec.Command("apt-get", "update", "-qq").CombinedOutput(); failed != nil {
			return "", fmt.Errorf("%w; apt-get update: %w\n%s", err, failed, out)
		}
		root, err = fetch(version, cache)
	}
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(filepath.Dir(root))
	if err := os.Rename(root, filepath.Join(cache, version)); err != nil && !os.IsExist(err) {
		return "", err
	}
	found, _ := filepath.Glob(filepath.Join(cache, version, "boot", "vmlinuz-*"))
	if len(found) == 0 {
		return "", fmt.Errorf("no boot/vmlinuz in the package of Linux %s", version)
	}
	return found[0], nil
}

// fetch unpacks the kernel's package into a new directory in cache.
func fetch(version, cache string) (root string, err error) {
	name, err := newestPackage(version)
	if err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	fmt.Fprintln(os.Stderr, "vmrun: fetching", name)
	for _, step := range []string{"apt-get download -qq " + name, "dpkg-deb -x *.deb root"} {
		cmd := exec.Command("sh", "-c", step)
		cmd.Dir = work
		if out, err := cmd.CombinedOutput(); err != nil {
			_ = os.RemoveAll(work)
			return "", fmt.Errorf("%s: %w\n%s", step, err, out)
		}
	}
	return filepath.Join(work, "root"), nil
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
		return "", fmt.Errorf("apt knows no linux-image-%s*-cloud-amd64", version)
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
