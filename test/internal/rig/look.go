package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CgroupRoot is where the machine has its cgroup2 hierarchy.
const CgroupRoot = "/sys/fs/cgroup"

// Exec returns a command's output without the last newline; the error has what it said
// on stderr.
func Exec(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, Tail(stderr.String(), 3))
	}
	return strings.TrimSpace(string(out)), err
}

// Docker runs the client on a dockerd's socket.
func Docker(socket string, args ...string) (string, error) {
	out, err := Exec("docker", append([]string{"--host=unix://" + socket}, args...)...)
	if err != nil { // the client's name and address say nothing
		err = errors.New(strings.Replace(err.Error(), "docker --host=unix://"+socket, "docker", 1))
	}
	return out, err
}

// DockerStatus is the client's exit status, which is the container's, and all that it
// said; -1 if it did not end.
func DockerStatus(socket string, args ...string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", append([]string{"--host=unix://" + socket}, args...)...)
	cmd.WaitDelay = time.Second
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}

// Ping asks a dockerd whether it serves.
func Ping(socket string) error {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	c := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	answer, err := c.Get("http://docker/_ping")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// Eventually repeats f until it succeeds, and returns its last error when the time is
// over.
func Eventually(limit time.Duration, f func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if fatal := new(Hopeless); errors.As(err, &fatal) {
			return err
		}
	}
}

// Hopeless is an error that waiting does not mend.
type Hopeless struct{ error }

// InVain makes an error hopeless.
func InVain(err error) error { return &Hopeless{err} }

// Tail is a text's last lines.
func Tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Read is a file's text, "" where it cannot be read.
func Read(path string) string {
	data, _ := os.ReadFile(path)
	return strings.TrimSpace(string(data))
}

// CgroupOf returns a process's cgroup as the top level has it.
func CgroupOf(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path), nil
		}
	}
	return "", fmt.Errorf("/proc/%d/cgroup: no cgroup v2", pid)
}

// InLeaf reports whether path is the leaf of a container's cgroup. The leaf is called
// init, or after the container's ID.
func InLeaf(cgroup, path string) bool {
	name, below := strings.CutPrefix(path, strings.TrimSuffix(cgroup, "/")+"/")
	return below && leafName.MatchString(name)
}

// NamedAfter reports whether path is a leaf that has the name of the container with this
// ID, by which agents on the machine find the container.
func NamedAfter(id, path string) bool {
	return filepath.Base(path) == id[:40]+strings.Repeat(".", 20)+"init"
}

var leafName = regexp.MustCompile(`^(?:[0-9a-f]{40}\.{20})?init$`)

// Processes returns the PIDs whose command line contains the text.
func Processes(text string) (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && strings.Contains(CommandLine(pid), text) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// CommandLine is a process's, with spaces between its arguments.
func CommandLine(pid int) string {
	return strings.ReplaceAll(Read(fmt.Sprintf("/proc/%d/cmdline", pid)), "\x00", " ")
}

// GroupsBelow lists the cgroups below dir, without dir.
func GroupsBelow(dir string) (found []string) {
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != dir {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// Counter is a value of a flat keyed file; -1 where there is none.
func Counter(file, key string) int {
	for line := range strings.Lines(Read(file)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == key {
			n, _ := strconv.Atoi(value)
			return n
		}
	}
	return -1
}

// Under says whether every process whose command line has the text is in the cgroup or
// below it, and that there is one.
func Under(cgroup, text string) error {
	return Eventually(20*time.Second, func() error {
		pids := Processes(text)
		if len(pids) == 0 {
			return fmt.Errorf("no process %q on the machine", text)
		}
		for _, pid := range pids {
			path, err := CgroupOf(pid)
			if err != nil {
				return err
			}
			if path != cgroup && !strings.HasPrefix(path, cgroup+"/") {
				return InVain(fmt.Errorf("%s (%d) is in %s, outside %s", text, pid, path, cgroup))
			}
		}
		return nil
	})
}

// Daemons are a machine's services, with their logs in one directory.
type Daemons struct {
	Logs    string
	running []*exec.Cmd
}

// Start starts a service.
func (d *Daemons) Start(name string, args ...string) (*exec.Cmd, error) {
	log, err := os.OpenFile(d.File(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	// A signal from the terminal ends the tests, which then end the services.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d.running = append(d.running, cmd)
	return cmd, nil
}

// File is a service's log.
func (d *Daemons) File(name string) string { return filepath.Join(d.Logs, name+".log") }

// Stop stops them all.
func (d *Daemons) Stop() {
	for _, cmd := range d.running {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	d.running = nil
}
