// This file is what vmrun does in the guest.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mounts are the file systems of a container host. Later ones are mounted on earlier ones.
var mounts = []struct {
	point, kind, data string
	flags             uintptr
}{
	{"/proc", "proc", "", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
	{"/sys", "sysfs", "", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
	{"/dev", "devtmpfs", "mode=755", syscall.MS_NOSUID},
	{"/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666", syscall.MS_NOSUID | syscall.MS_NOEXEC},
	{"/dev/shm", "tmpfs", "mode=1777", syscall.MS_NOSUID | syscall.MS_NODEV},
	{"/tmp", "tmpfs", "mode=1777", 0},
	{"/run", "tmpfs", "mode=755", 0},
	// systemd mounts cgroup2 with these options.
	{"/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
}

// The init from the disk runs the rest of the job as this program with this argument.
const (
	program = "/init.vm"
	service = "service"
)

// guest does the job in the guest, as /init or as a service of the init from the disk. It
// does not return.
func guest() {
	status, err := runJob()
	if err != nil {
		fmt.Println("vmrun guest:", err)
		status = 125
	}
	fmt.Printf("\n%s%d\n", marker, status)
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // not reached, for the kernel panics when PID 1 ends
}

func runJob() (int, error) {
	data, err := os.ReadFile("/job.json")
	if err != nil {
		return 0, err
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		return 0, err
	}
	if os.Getpid() == 1 {
		if err := prepare(j); err != nil {
			return 0, err
		}
	}
	fmt.Println("\n" + begin)
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Env, cmd.Dir = j.Env, "/pkg"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return reapUntil(cmd.Process.Pid)
}

// prepare makes the machine a container host.
func prepare(j job) error {
	if j.Disk {
		if err := switchRoot(j.Modules); err != nil {
			return err
		}
	}
	if j.Init != "" {
		return handOver(j.Init)
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.point, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(m.kind, m.point, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.point, err)
		}
	}
	// devtmpfs has none of these links. A shell's <(...) and Docker's images need them.
	for name, target := range map[string]string{"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		_ = os.Symlink("/proc/self/"+target, "/dev/"+name)
	}
	return enableControllers()
}

// unit is the systemd service that runs the rest of the job. With Delegate=yes the service
// may divide its cgroup. At its end it powers the machine off.
const unit = `[Unit]
After=basic.target
[Service]
ExecStart=` + program + " " + service + `
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
Delegate=yes
LimitNOFILE=1048576
`

// handOver executes the init from the disk as PID 1, with the service. It returns only on
// failure.
func handOver(path string) error {
	const units = "/etc/systemd/system"
	if err := os.MkdirAll(units+"/multi-user.target.wants", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(units+"/vmrun.service", []byte(unit), 0o644); err != nil {
		return err
	}
	if err := os.Symlink("../vmrun.service", units+"/multi-user.target.wants/vmrun.service"); err != nil {
		return err
	}
	return fmt.Errorf("exec %s: %w", path, syscall.Exec(path, []string{path, "--unit=multi-user.target", "--show-status=0"}, nil))
}

// reapUntil reaps every child, as PID 1 has to, until the process pid ends, and returns its
// exit status. A container's shim that PID 1 does not reap would stay in its cgroup.
func reapUntil(pid int) (int, error) {
	for {
		var status syscall.WaitStatus
		switch got, err := syscall.Wait4(-1, &status, 0, nil); {
		case err == syscall.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait4: %w", err)
		case got != pid:
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}

// switchRoot makes the disk the root file system and copies the job there. It moves the
// mount of the disk over the initramfs, because the initramfs cannot be unmounted and
// pivot_root cannot replace it (the kernel's
// Documentation/filesystems/ramfs-rootfs-initramfs.rst).
func switchRoot(modules []string) error {
	if err := syscall.Mount("dev", "/dev", "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	for _, name := range modules {
		if err := loadModule(name); err != nil {
			return err
		}
	}
	// The kernel may still be looking for the disk when it has started init.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(disk); err == nil {
			break
		} else if time.Now().After(deadline) {
			return err
		}
	}
	if err := os.Mkdir("/disk", 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(disk, "/disk", "ext4", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", disk, err)
	}
	if out, err := exec.Command("/bin/busybox", "cp", "-a", "/pkg", "/test.bin", "/job.json", "/disk/").CombinedOutput(); err != nil {
		return fmt.Errorf("cp to the disk: %w: %s", err, out)
	}
	if out, err := exec.Command("/bin/busybox", "cp", "/init", "/disk"+program).CombinedOutput(); err != nil {
		return fmt.Errorf("cp to the disk: %w: %s", err, out)
	}
	if err := os.Chdir("/disk"); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("mount --move /disk /: %w", err)
	}
	return syscall.Chroot(".")
}

// The drivers of NVMe and ext4 are built into Debian's cloud kernels. virtio_blk is not.
const disk = "/dev/nvme0n1"

func loadModule(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	flags := 0
	if !strings.HasSuffix(name, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE // since Linux 5.17, where CONFIG_MODULE_DECOMPRESS is set
	}
	if err := unix.FinitModule(int(file.Fd()), "", flags); err != nil {
		return fmt.Errorf("finit_module %s: %w", name, err)
	}
	return nil
}

// enableControllers enables the controllers at the top of the hierarchy, as systemd does on
// a host.
func enableControllers() error {
	data, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if err != nil {
		return err
	}
	return os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+"+strings.Join(strings.Fields(string(data)), " +")), 0)
}
