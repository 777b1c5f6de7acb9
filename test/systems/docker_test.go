package systems

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// socket is where the dockerd of the virtual machine listens.
const socket = "/run/docker.sock"

// dockerd starts the dockerd of the virtual machine once. systemd is the machine's init, and so
// dockerd makes a scope unit for each container (the systemd driver is the default there).
var dockerd = sync.OnceValue(func() error {
	// dockerd waits 15 s for a containerd that it starts itself. That is too little on a busy
	// machine.
	if _, err := daemons.Start("containerd", "containerd"); err != nil {
		return err
	}
	err := rig.Eventually(3*time.Minute, func() error { _, err := rig.Exec("ctr", "version"); return err })
	if err != nil {
		return fmt.Errorf("containerd: %w: %s", err, rig.Tail(rig.Read(daemons.File("containerd")), 5))
	}
	_, err = daemons.Start("dockerd", append([]string{
		"dockerd", "--containerd=" + containerdSocket, "--host=unix://" + socket, "--data-root=" + place + "/docker",
		"--pidfile=" + place + "/docker.pid", "--exec-opt=native.cgroupdriver=systemd",
	}, modest...)...)
	if err != nil {
		return err
	}
	if err := rig.Eventually(3*time.Minute, func() error { return rig.Ping(socket) }); err != nil {
		return fmt.Errorf("the machine's dockerd: %w\n%s", err, rig.Tail(rig.Read(daemons.File("dockerd")), 20))
	}
	root, err := outerRoot().Tar()
	if err != nil {
		return err
	}
	return rig.Import(socket, outerImage, bytes.NewReader(root))
})

// outer is a privileged container of the machine's dockerd.
type outer struct {
	id, cgroup string
	pid        int
}

const quota = "70000 100000"

// modest are options for a dockerd without a network, and with a runc without seccomp.
var modest = []string{"--bridge=none", "--iptables=false", "--ip6tables=false", "--userland-proxy=false", "--seccomp-profile=unconfined"}

var innerDaemon = append([]string{"dockerd"}, modest...)

// start runs a command in a container with a quota and a memory limit.
func start(namespace string, options []string, command ...string) (*outer, error) {
	if err := dockerd(); err != nil {
		return nil, err
	}
	args := append([]string{
		"run", "--detach", "--privileged", "--network=none", "--cgroupns=" + namespace, "--cpus=0.7", "--memory=400m",
		"--volume=/usr:/usr:ro", "--volume=/var/lib/docker", "--env=PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	}, options...)
	id, err := rig.Docker(socket, append(append(args, outerImage), command...)...)
	if err != nil {
		return nil, err
	}
	o := &outer{id: id}
	if o.cgroup, err = cgroupNamed(id); err != nil {
		return o, fmt.Errorf("%w: %s", err, o.logs())
	}
	pid, err := rig.Docker(socket, "inspect", "--format={{.State.Pid}}", id)
	if err != nil {
		return o, err
	}
	o.pid, err = strconv.Atoi(pid)
	return o, err
}

func (o *outer) logs() string {
	_, out := rig.DockerStatus(socket, "logs", o.id)
	return out
}

func (o *outer) remove() error {
	if o == nil {
		return nil
	}
	_, err := rig.Docker(socket, "rm", "--force", "--volumes", o.id)
	return err
}

func (o *outer) inside() string { return fmt.Sprintf("/proc/%d/root/run/docker.sock", o.pid) }

// serves waits for the dockerd in it.
func (o *outer) serves() error {
	err := rig.Eventually(2*time.Minute, func() error {
		if _, err := os.Stat(rig.CgroupRoot + o.cgroup); err != nil {
			return rig.InVain(err)
		}
		return rig.Ping(o.inside())
	})
	if err != nil {
		return fmt.Errorf("the inner dockerd: %w: %s", err, rig.Tail(o.logs(), 10))
	}
	return nil
}

// nested starts an inner container and returns its cgroup below the outer one.
func (o *outer) nested() (string, error) {
	if _, err := rig.Docker(o.inside(), "image", "inspect", plainImage); err != nil {
		tar, err := rig.Plain()
		if err != nil {
			return "", err
		}
		if err := rig.Import(o.inside(), plainImage, bytes.NewReader(tar)); err != nil {
			return "", err
		}
	}
	id, err := rig.Docker(o.inside(), "run", "--detach", "--network=none", plainImage, "sleep", "7911")
	if err != nil {
		return "", err
	}
	if err := rig.Under(o.cgroup, "sleep 7911"); err != nil {
		return "", err
	}
	path, err := rig.CgroupOf(rig.Processes("sleep 7911")[0])
	if err != nil {
		return "", err
	}
	_, err = rig.Docker(o.inside(), "rm", "--force", id)
	return strings.ReplaceAll(strings.TrimPrefix(path, o.cgroup), id, "ID"), err
}

// TestSupervisor has a program in Go start dockerd again and again in one container. It
// is PID 1 and starts cgshim -x, or cgshim is PID 1 and starts the program.
func TestSupervisor(t *testing.T) {
	for _, namespace := range []string{"private", "host"} {
		for name, command := range map[string][]string{
			"-x":    append([]string{"/supervisor", "/cgshim", "-x", "--cgroup=auto", "--"}, innerDaemon...),
			"PID 1": append([]string{"/cgshim", "--", "/supervisor"}, innerDaemon...),
		} {
			t.Run(namespace+"/"+name, func(t *testing.T) {
				step(t, "supervisor, "+name+", "+namespace, func() (err error) {
					o, err := start(namespace, nil, command...)
					defer func() { err = errors.Join(err, o.remove()) }()
					if err != nil {
						return err
					}
					return o.restarts(name == "-x")
				})
			})
		}
	}
}

var (
	quotaLine = regexp.MustCompile(`(?m)^quota held "(.*)" shown "(.*)"$`)
	cutLine   = regexp.MustCompile(`(?m)^cut off (\d+) times`)
)

// restarts kills dockerd. If each start does a set-up, restarts also kills a set-up.
func (o *outer) restarts(setup bool) error {
	if err := o.serves(); err != nil {
		return err
	}
	first, err := o.nested()
	if err != nil {
		return err
	}
	if strings.Count(first, "/") != 2 {
		return fmt.Errorf("an inner container is at %s", first)
	}
	signals := []syscall.Signal{syscall.SIGUSR1}
	if setup {
		signals = append(signals, syscall.SIGUSR2)
	}
	supervisor := rig.Processes("/supervisor")
	for i, s := range signals {
		for _, pid := range supervisor {
			if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); filepath.Base(exe) == "supervisor" {
				if err := syscall.Kill(pid, s); err != nil {
					return err
				}
			}
		}
		err := rig.Eventually(2*time.Minute, func() error {
			if n := strings.Count(o.logs(), "\nstarted "); n < i+2 {
				return fmt.Errorf("after %v it has started dockerd %d times: %s", s, n, rig.Tail(o.logs(), 10))
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := o.serves(); err != nil {
			return err
		}
		again, err := o.nested()
		if err != nil {
			return err
		}
		if again != first {
			return fmt.Errorf("an inner container was at %s, after %v at %s", first, s, again)
		}
	}
	for _, line := range quotaLine.FindAllStringSubmatch(o.logs(), -1) {
		if line[1] != quota || line[2] != quota {
			return fmt.Errorf("%s, want %s", line[0], quota)
		}
	}
	if setup {
		cut := cutLine.FindStringSubmatch(o.logs())
		if cut == nil || cut[1] == "0" {
			return fmt.Errorf("the set-up was never cut off: %s", rig.Tail(o.logs(), 10))
		}
		fmt.Println("the set-up was", cut[0])
	}
	return nil
}

// TestShellWrapper is the control: what replaces cgshim in a supervisor today. The
// supervisor's runtime holds a file of the mount that the wrapper unmounts.
func TestShellWrapper(t *testing.T) {
	step(t, "the shell wrapper cannot unmount what the supervisor holds", func() (err error) {
		o, err := start("private", nil, append([]string{"/supervisor", "/bin/sh", "-c", `unshare --cgroup umount /sys/fs/cgroup; exec "$@"`, "sh"}, innerDaemon...)...)
		defer func() { err = errors.Join(err, o.remove()) }()
		if err != nil {
			return err
		}
		return rig.Eventually(time.Minute, func() error {
			if logs := o.logs(); !strings.Contains(logs, "target is busy") {
				return errors.New(rig.Tail(logs, 5))
			}
			return nil
		})
	})
}

// TestSystemdInside runs systemd as the program of a container.
func TestSystemdInside(t *testing.T) {
	for _, namespace := range []string{"private", "host"} {
		step(t, "systemd in a container, "+namespace, func() (err error) {
			o, err := start(namespace, []string{"--env=container=docker", "--tmpfs=/run", "--tmpfs=/tmp", "--stop-signal=RTMIN+3"},
				"/cgshim", "-x", "--cgroup=auto", "--", "/usr/lib/systemd/systemd", "--unit=basic.target")
			defer func() { err = errors.Join(err, o.remove()) }()
			if err != nil {
				return err
			}
			err = rig.Eventually(2*time.Minute, func() error {
				state, err := rig.Docker(socket, "exec", o.id, "systemctl", "show", "--property=ActiveState", "basic.target")
				if err == nil && state != "ActiveState=active" {
					err = fmt.Errorf("basic.target: %s", state)
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("%w: %s", err, rig.Tail(o.logs(), 10))
			}
			if _, err := rig.Docker(socket, "exec", o.id, "systemd-run", "--unit=inner", "--property=MemoryMax=64M", "sleep", "7921"); err != nil {
				return err
			}
			if err := rig.Under(o.cgroup, "sleep 7921"); err != nil {
				return err
			}
			path, err := rig.CgroupOf(rig.Processes("sleep 7921")[0])
			if err != nil {
				return err
			}
			if limit := rig.Read(rig.CgroupRoot + path + "/memory.max"); limit != strconv.Itoa(64<<20) {
				return fmt.Errorf("memory.max of %s is %q", path, limit)
			}
			return nil
		})
	}
}

// TestDockerInside is cgshim's own case with today's Docker: the container is a scope.
func TestDockerInside(t *testing.T) {
	for _, namespace := range []string{"private", "host"} {
		step(t, "dockerd in a scope unit, "+namespace, func() (err error) {
			o, err := start(namespace, nil, append([]string{"/cgshim", "--dind", "--"}, innerDaemon...)...)
			defer func() { err = errors.Join(err, o.remove()) }()
			if err != nil {
				return err
			}
			if !strings.HasSuffix(o.cgroup, ".scope") {
				return fmt.Errorf("the container is in %s", o.cgroup)
			}
			if err := o.serves(); err != nil {
				return err
			}
			path, err := o.nested()
			if err == nil && path != "/docker/ID" {
				err = fmt.Errorf("an inner container is at %s", path)
			}
			if err != nil {
				return err
			}
			// A reload has systemd look at every unit's cgroup again.
			if _, err := rig.Exec("systemctl", "daemon-reload"); err != nil {
				return err
			}
			if path, err := rig.CgroupOf(o.pid); err != nil || !rig.InLeaf(o.cgroup, path) || !rig.NamedAfter(o.id, path) {
				return fmt.Errorf("PID 1 is in %s: %v", path, err)
			}
			if _, err := rig.Docker(socket, "stop", o.id); err != nil {
				return err
			}
			status, err := rig.Docker(socket, "inspect", "--format={{.State.ExitCode}}", o.id)
			if err == nil && status != "0" {
				err = fmt.Errorf("exit status %s: %s", status, rig.Tail(o.logs(), 5))
			}
			return err
		})
	}
}
