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
// once, or the path of a vmlinuz. CGSHIM_VM_TIMEOUT bounds the run (15m).
// Variables that begin with CGSHIM_ are passed on.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// job is what the guest is to do.
type job struct {
	Args []string
	Env  []string
}

// What the guest says on the console before the program's output, and after it
// with the exit status.
const (
	begin  = "vmrun: begin"
	marker = "vmrun: exit status "
)

func main() {
	if os.Getpid() == 1 {
		guest()
	}
	if len(os.Args) < 2 {
		fatal("usage: vmrun TESTBINARY [ARGS...]")
	}
	kernel, err := findKernel(os.Getenv("CGSHIM_VM_KERNEL"))
	if err != nil {
		fatal(err)
	}
	image, err := initramfs(os.Args[1], os.Args[2:])
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

// initramfs packs what the guest needs into a file.
func initramfs(binary string, args []string) (string, error) {
	spec := job{Args: append([]string{"/test.bin"}, args...), Env: []string{"PATH=/bin", "HOME=/", "CGSHIM_MUST_RUN=1"}}
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
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2G",
		"-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 loglevel=3 rdinit=/init")
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
	case ctx.Err() != nil:
		return 0, fmt.Errorf("the machine did not finish within %v", timeout)
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
