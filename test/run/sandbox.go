package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// enter runs as the first process of the new namespaces. It enters the cgroup, makes the
// mounts of a container, and executes the command, which is cgshim. Its arguments are the
// kind, the temporary directory, the binary of cgshim, the cgroup's directory, the mount point
// of cgroup2, and the command.
func enter(args []string) error {
	kind, dir, binary, cgroup, hierarchy, command := args[0], args[1], args[2], args[3], args[4], args[5:]
	if cgroup != "" {
		// Do this while the host's cgroups are still visible. "0" is the writer itself
		// (cgroups(7)).
		if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
	}
	if kind == "private" {
		// The writer's cgroup becomes the root of its cgroup namespace
		// (cgroup_namespaces(7)).
		if err := syscall.Unshare(syscall.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("unshare cgroup namespace: %w", err)
		}
	}
	if err := mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}

	// The sandbox's root is an overlay on the machine's root. Writes outside of the temporary
	// directory go to a tmpfs, which disappears with the mount namespace.
	layers, root := filepath.Join(dir, "layers"), filepath.Join(dir, "root")
	if err := makeDirs(layers, root); err != nil {
		return err
	}
	if err := mount("tmpfs", layers, "tmpfs", 0, ""); err != nil {
		return err
	}
	upper, work := filepath.Join(layers, "upper"), filepath.Join(layers, "work")
	if err := makeDirs(upper, work); err != nil {
		return err
	}
	if err := mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work); err != nil {
		return err
	}
	if err := makeDirs(filepath.Join(root, dir), filepath.Join(root, "run"), filepath.Join(root, "proc"), filepath.Join(root, "sys"), filepath.Join(root, "dev")); err != nil {
		return err
	}
	if err := copyProgram(binary, filepath.Join(root, "cgshim")); err != nil {
		return err
	}
	table := []struct {
		source, target, fstype string
		flags                  uintptr
	}{
		{dir, dir, "", syscall.MS_BIND},
		{"proc", "/proc", "proc", 0},
		{"sysfs", "/sys", "sysfs", 0},
		{"tmpfs", "/run", "tmpfs", 0},
		{"/dev", "/dev", "", syscall.MS_BIND | syscall.MS_REC},
	}
	cgroups := table[0]
	switch kind {
	case "host":
		// Bind the existing mount. A new mount from the host's cgroup namespace would reset
		// the options of the hierarchy (cgroup-v2.rst, "nsdelegate").
		cgroups.source, cgroups.flags = hierarchy, syscall.MS_BIND
	case "private":
		cgroups.source, cgroups.fstype, cgroups.flags = "cgroup2", "cgroup2", 0
	case "v1":
		cgroups.source, cgroups.flags = "/sys/fs/cgroup", syscall.MS_BIND|syscall.MS_REC
	}
	cgroups.target = "/sys/fs/cgroup"
	for _, m := range append(table, cgroups) {
		if err := mount(m.source, filepath.Join(root, m.target), m.fstype, m.flags, ""); err != nil {
			return err
		}
	}

	// After this call the old root is mounted on top of the new root (pivot_root(2),
	// "pivot_root(".", ".")").
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root %s: %w", root, err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("umount old root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := syscall.Sethostname([]byte("sandbox")); err != nil {
		return fmt.Errorf("sethostname: %w", err)
	}
	return fmt.Errorf("exec %s: %w", command[0], syscall.Exec(command[0], command, os.Environ()))
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := syscall.Mount(source, target, fstype, flags, data); err != nil {
		return fmt.Errorf("mount %s on %s type %q: %w", source, target, fstype, err)
	}
	return nil
}

func makeDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
