package systems

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// lxcConfig is an unprivileged container of LXC: its root is an ordinary user of the
// virtual machine, and LXC hands the container's cgroup to that user's group
// (lxc.container.conf(5)).
const lxcConfig = `lxc.uts.name = it
lxc.rootfs.path = dir:%[1]s/root
lxc.idmap = u 0 100000 65536
lxc.idmap = g 0 100000 65536
lxc.mount.auto = proc:rw sys:rw cgroup:rw:force
lxc.mount.entry = /usr usr none bind,ro 0 0
lxc.net.0.type = empty
lxc.apparmor.profile = unconfined
lxc.cgroup2.memory.max = 400M
lxc.environment = PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lxc.environment = CGSHIM_CGROUP=require
lxc.init.cmd = /cgshim -v --dind -- %[2]s
lxc.log.file = %[1]s/log
`

// TestLXC has cgshim for the init of an unprivileged LXC container, with dockerd in it.
func TestLXC(t *testing.T) {
	step(t, "unprivileged LXC: inner processes lie under the container", func() error {
		dir := place + "/lxc"
		root, err := outerRoot().Tar()
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir+"/root", 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/root.tar", root, 0o644); err != nil {
			return err
		}
		if _, err := rig.Exec("busybox", "tar", "-x", "-C", dir+"/root", "-f", dir+"/root.tar"); err != nil {
			return err
		}
		if err := chown(dir+"/root", 100000); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/config", fmt.Appendf(nil, lxcConfig, dir, strings.Join(innerDaemon, " ")), 0o644); err != nil {
			return err
		}
		if _, err := daemons.Start("lxc", "lxc-start", "--name=it", "--rcfile="+dir+"/config", "--lxcpath="+dir, "--foreground"); err != nil {
			return err
		}
		said := func() string { return rig.Tail(rig.Read(daemons.File("lxc"))+"\n"+rig.Read(dir+"/log"), 10) }
		var pid int
		err = rig.Eventually(time.Minute, func() error {
			out, err := rig.Exec("lxc-info", "--name=it", "--lxcpath="+dir, "--pid", "--no-humanize")
			if err == nil {
				pid, err = strconv.Atoi(out)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("%w: %s", err, said())
		}
		inside := fmt.Sprintf("/proc/%d/root/run/docker.sock", pid)
		if err := rig.Eventually(2*time.Minute, func() error { return rig.Ping(inside) }); err != nil {
			return fmt.Errorf("the inner dockerd: %w: %s", err, said())
		}
		leaf, err := rig.CgroupOf(pid)
		if err != nil {
			return err
		}
		cgroup, isLeaf := strings.CutSuffix(leaf, "/init")
		if !isLeaf {
			return fmt.Errorf("PID 1 is in %s: %s", leaf, said())
		}
		tar, err := rig.Plain()
		if err != nil {
			return err
		}
		if err := rig.Import(inside, plainImage, bytes.NewReader(tar)); err != nil {
			return err
		}
		if _, err := rig.Docker(inside, "run", "--detach", "--network=none", "--security-opt=apparmor=unconfined", "--memory=64m", plainImage, "sleep", "7931"); err != nil {
			return err
		}
		if err := rig.Under(cgroup+"/docker", "sleep 7931"); err != nil {
			return err
		}
		path, err := rig.CgroupOf(rig.Processes("sleep 7931")[0])
		if err == nil && rig.Read(rig.CgroupRoot+path+"/memory.max") != strconv.Itoa(64<<20) {
			err = errors.New("its memory limit is not set")
		}
		_, stopped := rig.Exec("lxc-stop", "--name=it", "--lxcpath="+dir, "--kill")
		return errors.Join(err, stopped)
	})
}

// chown gives all of a tree to a user and group.
func chown(root string, id int) error {
	return filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, id, id)
	})
}
