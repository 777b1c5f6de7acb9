package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// mounts is what a container host has. Later entries are on earlier ones.
var mounts = []struct {
	point, kind, data string
	flags             uintptr
}{
	{"/proc", "proc", "", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
	{"/sys", "sysfs", "", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
	{"/dev", "devtmpfs", "mode=755", syscall.MS_NOSUID},
	{"/tmp", "tmpfs", "mode=1777", 0},
	{"/run", "tmpfs", "mode=755", 0},
	// The options that systemd mounts it with.
	{"/sys/fs/cgroup", "cgroup2", "nsdelegate,memory_recursiveprot", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC},
}

// guest is /init. It does not return.
func guest() {
	status, err := runJob()
	if err != nil {
		fmt.Println("vmrun guest:", err)
		status = 125
	}
	fmt.Printf("\n%s%d\n", marker, status)
	syscall.Sync()
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // not reached; an init that returns panics the kernel
}

func runJob() (int, error) {
	for _, m := range mounts {
		if err := os.MkdirAll(m.point, 0o755); err != nil {
			return 0, err
		}
		if err := syscall.Mount(m.kind, m.point, m.kind, m.flags, m.data); err != nil {
			return 0, fmt.Errorf("mount %s: %w", m.point, err)
		}
	}
	if err := enableControllers(); err != nil {
		return 0, err
	}
	data, err := os.ReadFile("/job.json")
	if err != nil {
		return 0, err
	}
	var j job
	if err := json.Unmarshal(data, &j); err != nil {
		return 0, err
	}
	fmt.Println("\n" + begin)
	cmd := exec.Command(j.Args[0], j.Args[1:]...)
	cmd.Env, cmd.Dir = j.Env, "/pkg"
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// enableControllers does at the top of the hierarchy what systemd does on a host.
func enableControllers() error {
	data, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	if err != nil {
		return err
	}
	return os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+"+strings.Join(strings.Fields(string(data)), " +")), 0)
}
