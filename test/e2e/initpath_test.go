package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// dockerd mounts its docker-init into each container that it starts with --init. With
// cgshim in docker-init's place such a container must run as with tini, and docker info
// must show the version. podman must accept cgshim as its init too. A cgshim that is the
// entry point beside another PID 1 must delegate.
func TestInitPath(t *testing.T) {
	rows.check(t, "docker info shows the init's version without a warning", ours, func() error {
		info, err := docker("info", "--format={{.InitBinary}} {{.InitCommit.ID}}")
		if err != nil {
			return err
		}
		if !regexp.MustCompile(`/docker-init [0-9a-f]{7,}$`).MatchString(info) {
			return fmt.Errorf("docker info has %q", info)
		}
		for line := range strings.Lines(read(place + "/docker.log")) {
			if strings.Contains(line, "docker-init") && strings.Contains(line, "level=warning") {
				return errors.New(line)
			}
		}
		return nil
	})
	baseline := optionsAfterPlain(t, "private")
	for _, c := range []struct {
		name    string
		options []string
		first   string // PID 1's command line
		always  bool   // with -short too
	}{
		{"unprivileged", nil, "/sbin/docker-init -- sh", false},
		{"read-only", []string{"--read-only"}, "/sbin/docker-init -- sh", false},
		{"not root", []string{"--user=1234:1234", "--cap-drop=ALL", "--security-opt=no-new-privileges"}, "/sbin/docker-init -- sh", true},
		// dockerd adds no init to such a container, whose orphans the host's PID 1 reaps.
		{"--pid=host", []string{"--pid=host"}, "", true},
		{"privileged, which it leaves alone", []string{"--privileged"}, "/sbin/docker-init -- sh", true},
	} {
		if testing.Short() && !c.always {
			continue
		}
		rows.check(t, "docker run --init: "+c.name, ours, func() error {
			return leavesTheHost(baseline, func() error { return initPath(c.options, c.first) })
		})
	}
	for _, namespace := range cgroupNamespaces() {
		rows.check(t, "docker run --init, cgshim as the entry point: auto delegates ("+namespace+")", ours, func() error {
			return besidePID1(namespace, "--init")
		})
	}
	rows.check(t, "docker run --pid=container:ID, cgshim as the entry point: auto delegates", ours, func() error {
		if _, err := docker("run", "--detach", network, "--name=first", plainImage, "sleep", "7412"); err != nil {
			return err
		}
		err := besidePID1("private", "--pid=container:first")
		_, removed := docker("rm", "--force", "first")
		return errors.Join(err, removed)
	})
	rows.check(t, "docker run --init -it: the program has the terminal", ours, terminal)
	rows.check(t, "podman run --init --init-path", ours, podman)
}

func initPath(options []string, first string) (err error) {
	if first == "" {
		defer func(before string) {
			if read("/proc/1/cmdline") != before {
				err = errors.New("PID 1 of the machine is another")
			}
		}(read("/proc/1/cmdline"))
	}
	args := append([]string{"run", "--init", network, "--name=init"}, options...)
	// The program leaves an orphan for the init to reap. /proc/self/cgroup shows whether
	// the init has made a leaf, which tini does not.
	const program = "(sleep 0 &); cat /proc/1/cmdline | xargs -0 echo first; cat /proc/self/cgroup; exit 42"
	status, out := statusOf(socket, append(args, plainImage, "sh", "-c", program)...)
	_, removed := docker("rm", "--force", "init")
	switch {
	case status != 42:
		return fmt.Errorf("status %d: %s", status, out)
	case first != "" && !strings.Contains(out, "first "+first):
		return fmt.Errorf("PID 1 is not the init: %s", out)
	case regexp.MustCompile(`(?m)^0::.*init$`).MatchString(out) || strings.Contains(out, "docker-init ("):
		return fmt.Errorf("not as tini: %s", out)
	}
	return removed
}

// besidePID1 runs cgshim as the entry point of a container whose PID 1 is another program.
// From the machine's top level the program must be in a leaf, with controllers enabled in the
// container's cgroup.
func besidePID1(namespace, option string) (err error) {
	id, err := docker("run", "--detach", "--privileged", network, "--cgroupns="+namespace, "--memory=64m", option, outerImage, "/cgshim", "--", "sleep", "7411")
	if err != nil {
		return err
	}
	defer func() {
		_, removed := docker("rm", "--force", id)
		err = errors.Join(err, removed)
	}()
	o := &outer{id: id, cgroup: "/docker/" + id}
	return eventually(time.Minute, func() error {
		logs, _ := o.logs()
		found := processes("sleep 7411")
		if len(found) == 0 {
			return fmt.Errorf("the program does not run: %s", tail(logs, 3))
		}
		for _, pid := range found {
			if path, err := cgroupOf(pid); err != nil || !inLeaf(o.cgroup, path) {
				return fmt.Errorf("process %d is in %s: %v: %s", pid, path, err, tail(logs, 3))
			}
		}
		if enabled := strings.Fields(read(o.file("cgroup.subtree_control"))); !slices.Contains(enabled, "memory") {
			return fmt.Errorf("enabled: %q: %s", enabled, tail(logs, 3))
		}
		return nil
	})
}

// terminal types at a shell that runs under the init. The shell must be the foreground job
// of the terminal, and ^C must end the shell's job but not the shell.
func terminal() error {
	cmd := exec.CommandContext(limited(), "docker", "--host=unix://"+socket, "run", "--rm", "--init", "-it", network, plainImage, "sh")
	tty, err := pty.Start(cmd)
	if err != nil {
		return err
	}
	defer tty.Close()
	said := make(chan string)
	go func() {
		lines := bufio.NewScanner(tty)
		for lines.Scan() {
			said <- lines.Text()
		}
		close(said)
	}()
	expect := func(text string) error {
		deadline := time.After(time.Minute)
		var all bytes.Buffer
		for {
			select {
			case line, open := <-said:
				if !open {
					return fmt.Errorf("the terminal closed before %q: %s", text, all.String())
				}
				all.WriteString(line + "\n")
				if strings.HasPrefix(strings.TrimSpace(line), text) {
					return nil
				}
			case <-deadline:
				return fmt.Errorf("no %q on the terminal: %s", text, all.String())
			}
		}
	}
	// In /proc/PID/stat field 5 is the process group, and field 8 is the foreground group
	// of the terminal (proc(5)).
	for _, step := range []struct{ typed, answer string }{
		{"tty", "/dev/pts/0"},
		{`set -- $(cat /proc/$$/stat); test $5 = $8 && echo fore"ground"`, "foreground"},
		{"sleep 600", ""},
		{"\x03", ""}, // ends sleep and not the shell
		{`echo still "here"`, "still here"},
		{"exit 6", ""},
	} {
		if _, err := fmt.Fprintln(tty, step.typed); err != nil {
			return err
		}
		if step.typed == "sleep 600" {
			if err := eventually(20*time.Second, func() error {
				if len(processes("sleep 600")) == 0 {
					return errors.New("sleep does not run")
				}
				return nil
			}); err != nil {
				return err
			}
		}
		if step.answer == "" {
			continue
		}
		if err := expect(step.answer); err != nil {
			return err
		}
	}
	for range said {
	}
	_ = cmd.Wait()
	if status := cmd.ProcessState.ExitCode(); status != 6 {
		return fmt.Errorf("exit status %d", status)
	}
	return nil
}

// podman runs a container from a directory, which needs no image store.
func podman() error {
	tar, err := plainTar()
	if err != nil {
		return err
	}
	root := place + "/podman-root"
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	unpack := exec.Command("tar", "-x", "-C", root)
	unpack.Stdin = tar
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w: %s", err, out)
	}
	cmd := exec.CommandContext(limited(), "podman", "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=crun", "run", "--rm", "--init", "--init-path="+place+"/docker-init",
		"--network=none", "--rootfs", root, "sh", "-c", "cat /proc/1/cmdline | xargs -0 echo first; exit 42")
	out, _ := cmd.CombinedOutput()
	if status := cmd.ProcessState.ExitCode(); status != 42 || !strings.Contains(string(out), "first /run/podman-init -- sh") || strings.Contains(string(out), "delegated") {
		return fmt.Errorf("status %d: %s", status, out)
	}
	return nil
}
