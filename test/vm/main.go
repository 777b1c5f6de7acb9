// Command vmrun runs a test binary in a virtual machine with a kernel of its own:
//
//	go test -exec vmrun ./cgroup
//
// The same program runs on the host and in the guest. On the host it packs itself, the test
// binary and busybox into an initramfs, and boots a Debian cloud kernel with the initramfs
// under QEMU. In the guest it is /init. There it mounts the file systems of a container
// host, among them cgroup2 with every controller on /sys/fs/cgroup. It runs the test
// binary, prints the exit status on the serial console, and powers off.
//
// These variables are optional, with their defaults in parentheses:
//
//	CGSHIM_VM_KERNEL   the beginning of a version of Debian's linux-image-*-cloud-amd64,
//	                   or the path of a vmlinuz (6.1)
//	CGSHIM_VM_TIMEOUT  the limit of the run (15m)
//	CGSHIM_VM_MEMORY   the memory of the machine (2G)
//	CGSHIM_VM_CPUS     the number of its processors (2)
//	CGSHIM_VM_FILES    files for the working directory of the test, beside testdata
//	CGSHIM_VM_DISK     an ext4 image that becomes the root file system
//	CGSHIM_VM_INIT     a program on the disk, systemd, that becomes the machine's init
//
// apt-get downloads a kernel once, if need be from another release of Debian. The guest
// gets every variable that begins with CGSHIM_. What the guest writes to the disk is gone
// afterwards. With an init from the disk the test binary runs in a service.
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

// job tells the guest what to do. It is in /job.json of the initramfs.
type job struct {
	Args    []string
	Env     []string
	Disk    bool     // the disk becomes the root file system
	Init    string   // path on the disk, if the machine has its init from there
	Modules []string // files of kernel modules that the disk's programs need
}

// The guest prints the line begin on the console before the output of the test binary, and
// marker with the exit status after the output.
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

// withoutTestLog drops the option for the file in which the test binary notes what it has
// read. go test uses the file to cache results, but the guest cannot write on the host.
func withoutTestLog(args []string) []string {
	return slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "-test.testlogfile=") })
}

// initramfs packs everything that the guest needs into a temporary file.
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

// boot runs the machine and returns the exit status that the guest prints.
func boot(kernel, image string) (int, error) {
	timeout := 15 * time.Minute
	if v := os.Getenv("CGSHIM_VM_TIMEOUT"); v != "" {
		var err error
		if timeout, err = time.ParseDuration(v); err != nil {
			return 0, err
		}
	}
	// QEMU must end when the run is interrupted.
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(interrupted, timeout)
	defer cancel()
	// QEMU emulates "rep movsb" and "rep stosb" byte by byte. With erms or fsrm the kernel
	// clears and copies pages so, and an execve(2) takes half as long again. With two
	// processors Linux does not trust the time stamp counter of an emulated one and reads the
	// HPET, which takes 2 us and not 0.2. Both are figures of our own.
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "max,erms=off,fsrm=off", "-smp", cmp.Or(os.Getenv("CGSHIM_VM_CPUS"), "2"), "-m", cmp.Or(os.Getenv("CGSHIM_VM_MEMORY"), "2G"),
		"-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 loglevel=3 tsc=reliable clocksource=tsc rdinit=/init",
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

// relay copies the output of the test binary from the console and returns the exit status
// after it. If there is no status, the error has the machine's earlier output.
func relay(console io.Reader, out io.Writer) (int, error) {
	var boot []byte
	begun, status, found := false, 0, false
	lines := bufio.NewReader(console)
	for {
		line, err := lines.ReadBytes('\n')
		line = bytes.ReplaceAll(line, []byte("\r"), nil) // the terminal adds it
		text := string(line)
		switch {
		case found: // ignore what the machine prints while it powers off
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
