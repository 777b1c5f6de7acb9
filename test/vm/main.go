// Command vmrun runs a test binary on a kernel of its own:
//
//	go test -exec vmrun ./cgroup
//
// It is both ends. On the host it packs itself, the test binary and busybox into
// an initramfs and boots a Debian cloud kernel with it under QEMU. In the guest it
// is /init: it mounts what a container host has, cgroup2 with every controller on
// /sys/fs/cgroup among it, runs the binary and says the exit status on the serial
// console before it powers off.
//
// CGSHIM_VM_KERNEL chooses the kernel: the beginning of a version of Debian's
// linux-image-*-cloud-amd64 (6.1, the default, or 6.12), which apt-get downloads
// once, from another release of Debian if need be, or the path of a vmlinuz.
// CGSHIM_VM_TIMEOUT bounds the run (15m), CGSHIM_VM_MEMORY is the machine's (2G), and
// CGSHIM_VM_CPUS (2). Variables that begin with CGSHIM_ are passed on. CGSHIM_VM_FILES
// lists files that the guest is to find beside testdata.
//
// CGSHIM_VM_DISK names an ext4 image that becomes the root file system. What the
// guest writes to it is gone afterwards. CGSHIM_VM_INIT names a program on it, systemd,
// that becomes the machine's init; the binary is then a service of it.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// job is what the guest is to do.
type job struct {
	Args    []string
	Env     []string
	Disk    bool     // that it is to become the root file system
	Init    string   // on the disk
	Modules []string // that the disk's programs need
}

// What the guest says on the console before the program's output, and after it
// with the exit status.
const (
	begin  = "vmrun: begin"
	marker = "vmrun: exit status "
)

func main() {
	if os.Getpid() == 1 || len(os.Args) == 2 && os.Args[1] == service {
		guest()
	}
	if len(os.Args) < 2 {
		fatal("usage: vmrun TESTBINARY [ARGS...]")
	}
	kernel, err := findKernel(os.Getenv("CGSHIM_VM_KERNEL"))
	if err != nil {
		fatal(err)
	}
	image, err := initramfs(kernel, os.Args[1], os.Args[2:])
	if err != nil {
		fatal(err)
	}
	defer os.Remove(image)
	status, err := boot(kernel, image)
	if err != nil {
		os.Remove(image)
		fatal(err)
	}
	os.Remove(image)
	os.Exit(status)
}

func fatal(v any) {
	fmt.Fprintln(os.Stderr, "vmrun:", v)
	os.Exit(125)
}

// withoutTestLog drops the file in which go test notes what a test has read, so that
// it can cache the result: it is the host's.
func withoutTestLog(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "-test.testlogfile=") })
}

// initramfs packs what the guest needs into a file.
func initramfs(kernel, binary string, args []string) (string, error) {
	spec := job{
		Args: append([]string{"/test.bin"}, withoutTestLog(args)...),
		Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "CGSHIM_MUST_RUN=1"},
		Disk: os.Getenv("CGSHIM_VM_DISK") != "",
		Init: os.Getenv("CGSHIM_VM_INIT"),
	}
	var modules []string
	if spec.Disk {
		modules = module(kernel, "fs/overlayfs/overlay")
	}
	for _, m := range modules {
		spec.Modules = append(spec.Modules, "/"+filepath.Base(m))
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "CGSHIM_") {
			spec.Env = append(spec.Env, v)
		}
	}
	description, err := json.Marshal(spec)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp("", "vmrun-*.cpio")
	if err != nil {
		return "", err
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	a := archive{w: w}
	for _, dir := range []string{"bin", "dev", "etc", "pkg", "proc", "root", "run", "sys", "tmp", "usr", "var"} {
		a.dir(dir)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	a.file("init", self)
	a.file("test.bin", binary)
	a.file("bin/busybox", "/bin/busybox")
	for _, applet := range []string{"cat", "grep", "ls", "ps", "sh", "sleep", "true", "unshare", "mount", "umount"} {
		a.link("bin/"+applet, "busybox")
	}
	a.data("job.json", description)
	for _, m := range modules {
		a.file(filepath.Base(m), m)
	}
	for _, f := range strings.Fields(os.Getenv("CGSHIM_VM_FILES")) {
		a.file("pkg/"+filepath.Base(f), f)
	}
	// go test runs a package's binary in the package's directory.
	_ = filepath.WalkDir("testdata", func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
		case entry.IsDir():
			a.dir("pkg/" + path)
		default:
			a.file("pkg/"+path, path)
		}
		return nil
	})
	a.end()
	if err := w.Flush(); a.err == nil {
		a.err = err
	}
	return file.Name(), a.err
}

// boot runs the machine and returns the status that the guest says.
func boot(kernel, image string) (int, error) {
	timeout := 15 * time.Minute
	if v := os.Getenv("CGSHIM_VM_TIMEOUT"); v != "" {
		var err error
		if timeout, err = time.ParseDuration(v); err != nil {
			return 0, err
		}
	}
	// An interrupted run takes its machine with it.
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, timeout)
	defer cancel()
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", cmp.Or(os.Getenv("CGSHIM_VM_CPUS"), "2"), "-m", cmp.Or(os.Getenv("CGSHIM_VM_MEMORY"), "2G"),
		"-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 loglevel=3 rdinit=/init",
	}
	if disk := os.Getenv("CGSHIM_VM_DISK"); disk != "" {
		args = append(args, "-drive", "if=none,id=root,format=raw,snapshot=on,file="+disk, "-device", "nvme,serial=root,drive=root")
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	console, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	status, err := relay(console, os.Stdout)
	waited := cmd.Wait()
	switch {
	case interrupted.Err() != nil:
		return 0, errors.New("interrupted")
	case ctx.Err() != nil:
		return 0, errors.Join(fmt.Errorf("the machine did not finish within %v", timeout), err)
	case err != nil && waited != nil:
		return 0, fmt.Errorf("%w; qemu: %w", err, waited)
	}
	return status, err
}

// relay copies the program's part of the console and finds the status behind it.
// Where there is none, what the machine said before may tell why.
func relay(console io.Reader, out io.Writer) (int, error) {
	var boot []byte
	begun, status, found := false, 0, false
	lines := bufio.NewReader(console)
	for {
		line, err := lines.ReadBytes('\n')
		line = bytes.ReplaceAll(line, []byte("\r"), nil) // the terminal's
		text := string(line)
		switch {
		case found: // the machine powers off
		case strings.HasPrefix(text, begin):
			begun = true
		case strings.HasPrefix(text, marker):
			status, err = strconv.Atoi(strings.TrimSpace(text[len(marker):]))
			found = err == nil
		case begun:
			_, _ = out.Write(line)
		default:
			boot = append(boot, line...)
		}
		if err == nil {
			continue
		}
		if !found {
			return 0, fmt.Errorf("the guest ended without an exit status\n%s", boot)
		}
		return status, nil
	}
}
