package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A supervisor starts dockerd twice in one container, each time through cgshim -x or
// through the steps that a peer takes. The second run must not nest the inner containers
// deeper. dockerd must be a child of the supervisor, so no process may stay in between.
func TestExecMode(t *testing.T) {
	commands := map[string]string{
		ours.name:     "/cgshim -x --cgroup=auto --dind -- ",
		unshared.name: "/usr/bin/unshare --cgroup /unshared ",
	}
	for _, v := range tried() {
		command, does := commands[v.name]
		if !does {
			continue
		}
		for _, ns := range cgroupNamespaces() {
			if v.name != ours.name && ns == "host" {
				continue // the same result as in a private namespace, and slow
			}
			t.Run(ns+"/"+v.name, func(t *testing.T) {
				baseline := optionsAfterPlain(t, ns)
				rows.check(t, "twice in one container and exec in place (-x): nothing nests deeper ("+ns+")", v, func() error {
					return leavesTheHost(baseline, func() error { return execMode(ns, v, command) })
				})
			})
		}
	}
}

func execMode(ns string, v variant, command string) (err error) {
	daemon := strings.Join(innerDaemon, " ")
	supervisor := variant{"supervisor", []string{"/bin/sh", "-c", "while :; do " + command + daemon + " & wait $!; rm -f /var/run/docker.pid; echo again; done"}}
	o, err := start("twice-"+v.name, supervisor, "--cgroupns="+ns)
	defer func() { err = errors.Join(err, o.remove()) }()
	if err != nil {
		return err
	}
	first, err := o.nested()
	if err != nil {
		return err
	}
	pid, err := o.daemonPID(daemon)
	if err != nil {
		return err
	}
	parent, err := o.pid()
	if err != nil {
		return err
	}
	if field := statField(pid, "PPid"); field != fmt.Sprint(parent) {
		return fmt.Errorf("dockerd's parent is %s, not the supervisor %d: there is one in between", field, parent)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	err = eventually(time.Minute, func() error {
		if next, err := o.daemonPID(daemon); err != nil || next == pid {
			return errors.Join(err, fmt.Errorf("dockerd %d has not ended", pid))
		}
		return o.ready()
	})
	if err != nil {
		return err
	}
	second, err := o.nested()
	if err == nil && first != second {
		err = fmt.Errorf("an inner container was at %s, after the second run at %s", first, second)
	}
	return err
}

// nested starts an inner container and returns its cgroup below the outer one.
func (o *outer) nested() (string, error) {
	id, err := o.inner("probe", "sleep", "7611")
	if err != nil {
		return "", err
	}
	if err := o.under("sleep 7611"); err != nil {
		return "", err
	}
	path, err := cgroupOf(processes("sleep 7611")[0])
	if err != nil {
		return "", err
	}
	if _, err := o.docker("rm", "--force", "probe"); err != nil {
		return "", err
	}
	return strings.ReplaceAll(strings.TrimPrefix(path, o.cgroup), id, "ID"), nil
}

// daemonPID finds the inner dockerd by its whole command line. The supervisor's command
// line contains this line too.
func (o *outer) daemonPID(line string) (int, error) {
	for _, pid := range processes(line) {
		if strings.TrimSpace(strings.ReplaceAll(read(fmt.Sprintf("/proc/%d/cmdline", pid)), "\x00", " ")) == line {
			return pid, nil
		}
	}
	return 0, errors.New("no process whose command line is dockerd's")
}

func statField(pid int, key string) string {
	for line := range strings.Lines(read(fmt.Sprintf("/proc/%d/status", pid))) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// An image's entry point may still run hack/dind after cgshim. Inner containers must be in
// the same place then, and the host must be as it was.
func TestBeforeDind(t *testing.T) {
	for name, entry := range map[string][]string{
		"hack/dind's steps after cgshim are harmless":               {"/cgshim", "--dind", "--", "/dind"},
		"docker:dind's entry point steps after cgshim are harmless": {"/cgshim", "--", "/bin/sh", "-c", `find /run /var/run -iname 'docker*.pid' -delete; exec /usr/bin/tini -- /dind "$@"`, "entry"},
	} {
		if testing.Short() && slices.Contains(entry, "--dind") {
			continue
		}
		for _, ns := range cgroupNamespaces() {
			baseline := optionsAfterPlain(t, ns)
			rows.check(t, name+" ("+ns+")", ours, func() error {
				return leavesTheHost(baseline, func() (err error) {
					o, err := start("before-dind", variant{"", entry}, "--cgroupns="+ns)
					defer func() { err = errors.Join(err, o.remove()) }()
					if err != nil {
						return err
					}
					path, err := o.nested()
					if err == nil && path != "/docker/ID" {
						err = fmt.Errorf("an inner container is at %s", path)
					}
					return err
				})
			})
		}
	}
}

// cgshim must work in an image that has nothing but cgshim and the program. It delegates
// where the container is privileged, and otherwise starts the program without a leaf.
func TestScratch(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []string
		leaf    bool
	}{
		{"privileged", []string{"--privileged", "--cgroupns=private"}, true},
		{"privileged, host's namespace", []string{"--privileged", "--cgroupns=host"}, true},
		{"unprivileged", nil, false},
		{"no capability, read-only, another user", []string{"--cap-drop=ALL", "--read-only", "--user=1234", "--security-opt=no-new-privileges"}, false},
	} {
		ns := "private"
		if slices.Contains(c.options, "--cgroupns=host") {
			ns = "host"
		}
		if !slices.Contains(cgroupNamespaces(), ns) {
			continue
		}
		baseline := optionsAfterPlain(t, ns)
		rows.check(t, "FROM scratch: "+c.name, ours, func() error {
			return leavesTheHost(baseline, func() error { return scratch(c.options, c.leaf) })
		})
	}
}

func scratch(options []string, leaf bool) (err error) {
	args := append([]string{"create", "--name=scratch", network}, options...)
	id, err := docker(append(args, scratchImage, "/cgshim", "--", "/busybox", "sh", "-c", "trap 'exit 5' TERM; while :; do /busybox sleep 1 & wait; done")...)
	o := &outer{id: id, cgroup: "/docker/" + id, dir: place + "/scratch"}
	defer func() { err = errors.Join(err, o.remove()) }()
	if err != nil {
		return err
	}
	if _, err := docker("start", id); err != nil {
		return err
	}
	if err := o.under("trap 'exit 5' TERM"); err != nil {
		return err
	}
	pid, err := o.pid()
	if err != nil {
		return err
	}
	err = eventually(20*time.Second, func() error {
		path, err := cgroupOf(pid)
		if err == nil && inLeaf(o.cgroup, path) != leaf {
			err = fmt.Errorf("PID 1 is in %s", path)
		}
		return err
	})
	if err != nil {
		return err
	}
	if _, err := docker("stop", id); err != nil {
		return err
	}
	status, err := docker("inspect", "--format={{.State.ExitCode}}", id)
	if err == nil && status != "5" {
		logs, _ := o.logs()
		err = fmt.Errorf("exit status %s: %s", status, tail(logs, 3))
	}
	return err
}
