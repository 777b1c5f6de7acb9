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

	"github.com/cgshim/cgshim/test/internal/rig"
	"golang.org/x/sys/unix"
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
	cache, err := rig.Cache("kernels")
	if err != nil {
		return "", err
	}
	unpacked := filepath.Join(cache, version)
	if have := vmlinuz(unpacked); have != "" {
		return have, nil
	}
	// One at a time: apt gives up where another one has its lists.
	dir, err := os.Open(cache)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("flock %s: %w", cache, err)
	}
	if have := vmlinuz(unpacked); have != "" { // the one before fetched it
		return have, nil
	}
	// Into a directory of its own and then renamed: a fetch that is cut off leaves
	// nothing half-done.
	root, err := fetchAnywhere(version, cache)
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(filepath.Dir(root))
	if err := os.Rename(root, unpacked); err != nil {
		return "", err
	}
	found := vmlinuz(unpacked)
	if found == "" {
		return "", fmt.Errorf("no vmlinuz in the packages of Linux %s", version)
	}
	return found, nil
}

// vmlinuz finds the kernel in unpacked packages, "" if there is none. Debian's newer
// ones have it with the modules.
func vmlinuz(root string) string {
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// module finds a kernel's module, by its path without an ending.
func module(kernel, name string) []string {
	for _, dir := range []string{"../lib/modules/*", "."} {
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(kernel), dir, "kernel", name+".ko*")); len(found) > 0 {
			return found
		}
	}
	return nil
}

// fetchAnywhere fetches from the machine's own sources, or from other releases.
func fetchAnywhere(version, cache string) (root string, err error) {
	if root, err = fetch(version, cache, nil); err == nil {
		return root, nil
	}
	// The lists may be old: of a version that the mirror has no more.
	if out, failed := rig.Apt("apt-get", nil, "update", "-qq").CombinedOutput(); failed != nil {
		return "", fmt.Errorf("%w; apt-get update: %w\n%s", err, failed, out)
	}
	if root, err = fetch(version, cache, nil); err == nil {
		return root, nil
	}
	options, failed := rig.Releases(filepath.Join(cache, "apt"), releases...)
	if failed != nil {
		return "", fmt.Errorf("%w; in other releases of Debian: %w", err, failed)
	}
	return fetch(version, cache, options)
}

// releases of Debian with an older kernel than the machine's, and with newer ones.
var releases = []string{"bullseye", "trixie", "sid"}

// fetch unpacks the kernel's packages into a new directory in cache.
func fetch(version, cache string, options []string) (root string, err error) {
	name, err := newestPackage(version, options)
	if err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return "", err
	}
	fmt.Fprintln(os.Stderr, "vmrun: fetching", name)
	get := []string{"download", "-qq", name}
	for _, kind := range []string{"binary", "modules"} { // since Linux 7 the image has nothing but these
		if part := strings.Replace(name, "image", kind, 1); downloadable(part, options) {
			get = append(get, part)
		}
	}
	for _, step := range []*exec.Cmd{
		rig.Apt("apt-get", options, get...),
		exec.Command("sh", "-c", "for deb in *.deb; do dpkg-deb -x $deb root || exit; done"),
	} {
		step.Dir = work
		if out, err := step.CombinedOutput(); err != nil {
			_ = os.RemoveAll(work)
			return "", fmt.Errorf("%s: %w\n%s", step, err, out)
		}
	}
	return filepath.Join(work, "root"), nil
}

// newestPackage finds the newest linux-image-VERSION*-cloud-amd64.
func newestPackage(version string, options []string) (string, error) {
	out, err := rig.Apt("apt-cache", options, "pkgnames", "linux-image-"+version+".").Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache pkgnames: %w", err)
	}
	pattern := regexp.MustCompile(`^linux-image-[0-9][^ ]*-cloud-amd64$`)
	var names []string
	for _, name := range strings.Fields(string(out)) {
		if pattern.MatchString(name) && downloadable(name, options) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "", fmt.Errorf("apt knows no linux-image-%s*-cloud-amd64", version)
	}
	return slices.MaxFunc(names, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }), nil
}

// downloadable tells a package from a name that other packages only mention.
func downloadable(name string, options []string) bool {
	out, err := rig.Apt("apt-cache", options, "policy", name).Output()
	return err == nil && strings.Contains(string(out), "Candidate:") && !strings.Contains(string(out), "Candidate: (none)")
}

func numbers(name string) (n []int) {
	for _, digits := range regexp.MustCompile(`[0-9]+`).FindAllString(name, -1) {
		i, _ := strconv.Atoi(digits)
		n = append(n, i)
	}
	return n
}
