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

// findKernel returns the path of a vmlinuz. This is version itself if it is a path, and
// otherwise the newest Debian cloud kernel whose version number begins with version.
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
	// Only one process may fetch at a time, because apt gives up when another apt has locked
	// the lists.
	dir, err := os.Open(cache)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("flock %s: %w", cache, err)
	}
	if have := vmlinuz(unpacked); have != "" { // another process fetched it meanwhile
		return have, nil
	}
	// Fetch into a new directory and rename that at the end, so that an interrupted fetch
	// leaves nothing half-done in the cache.
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

// vmlinuz returns the path of the kernel in unpacked packages, or "" if there is none.
// Debian's newer packages have the kernel in the directory of the modules.
func vmlinuz(root string) string {
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		if found, _ := filepath.Glob(filepath.Join(root, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// module returns the files of a kernel module. The name is the module's path below kernel/
// without the ending.
func module(kernel, name string) []string {
	for _, dir := range []string{"../lib/modules/*", "."} {
		if found, _ := filepath.Glob(filepath.Join(filepath.Dir(kernel), dir, "kernel", name+".ko*")); len(found) > 0 {
			return found
		}
	}
	return nil
}

// fetchAnywhere fetches a kernel from the machine's own package sources, or else from other
// releases of Debian.
func fetchAnywhere(version, cache string) (root string, err error) {
	if root, err = fetch(version, cache, nil); err == nil {
		return root, nil
	}
	// The lists may be old, with a version that the mirror has removed.
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

// releases are releases of Debian with older and newer kernels than the machine's own.
var releases = []string{"bullseye", "trixie", "sid"}

// fetch downloads and unpacks the kernel's packages in a new directory in cache.
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
	for _, kind := range []string{"binary", "modules"} { // since Linux 7 the kernel is in these packages
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

// downloadable reports whether a package exists. Other packages may only mention its name.
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
