package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"syscall"
	"time"

	"github.com/cgshim/cgshim/test/internal/rig"
)

// place is the directory for everything that the tests write to the machine's disk.
const place = "/var/lib/cgshim-e2e"

// socket is the socket of the machine's dockerd, which runs the outer containers.
const socket = place + "/docker.sock"

var longID = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`)

// daemons are the services that the tests have started on the machine.
var daemons = rig.Daemons{Logs: place}

// Short names for the parts of package rig that the tests use.
const cgroupRoot = rig.CgroupRoot

var (
	run         = rig.Exec
	client      = rig.Docker
	statusOf    = rig.DockerStatus
	ping        = rig.Ping
	eventually  = rig.Eventually
	hopeless    = rig.InVain
	tail        = rig.Tail
	read        = rig.Read
	cgroupOf    = rig.CgroupOf
	inLeaf      = rig.InLeaf
	processes   = rig.Processes
	groupsBelow = rig.GroupsBelow
	counter     = rig.Counter
	cgshim      = rig.Cgshim
	importImage = rig.Import
)

// prepare makes the machine a Docker host. It starts the machine's dockerd and imports the
// images.
func prepare() error {
	for _, dir := range []string{place, "/run"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if rig.Guest() {
		if err := likeSystemd(); err != nil {
			return err
		}
	}
	resetOptions()
	// Under this name cgshim behaves as tini.
	if out, err := run("cp", cgshim(), place+"/docker-init"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	err := daemon("docker", "dockerd", "--host=unix://"+socket, "--data-root="+place+"/docker", "--exec-root="+place+"/exec",
		"--pidfile="+place+"/docker.pid", "--bridge=none", "--iptables=false", "--storage-driver=overlay2",
		"--exec-opt=native.cgroupdriver=cgroupfs", "--add-runtime=crun=/usr/bin/crun", "--init-path="+place+"/docker-init")
	if err != nil {
		return err
	}
	if err := eventually(2*time.Minute, func() error { return ping(socket) }); err != nil {
		return fmt.Errorf("the machine's dockerd: %w\n%s", err, tail(read(place+"/docker.log"), 20))
	}
	return importImages()
}

// likeSystemd does the part of systemd's work that matters here. It makes the mounts shared
// and leaves only kernel threads in the top cgroup.
func likeSystemd() error {
	if err := syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mount --make-rshared /: %w", err)
	}
	for _, m := range [][2]string{{"tracefs", "/sys/kernel/tracing"}, {"debugfs", "/sys/kernel/debug"}, {"securityfs", "/sys/kernel/security"}} {
		if err := syscall.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	// The kernel mounts tracefs here on first use. Without this first use the mount would
	// look like the work of a container.
	_, _ = os.ReadDir("/sys/kernel/debug/tracing")
	for pid, dir := range map[int]string{1: "init.scope", os.Getpid(): "system.slice"} {
		if err := os.MkdirAll(cgroupRoot+"/"+dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(cgroupRoot+"/"+dir+"/cgroup.procs", fmt.Append(nil, pid), 0); err != nil {
			return err
		}
	}
	out, err := run("busybox", "ip", "link", "set", "lo", "up")
	if err != nil {
		return fmt.Errorf("lo: %w: %s", err, out)
	}
	return nil
}

// daemon starts a service of the machine. Its output goes to a log in place.
func daemon(name string, args ...string) error {
	_, err := daemons.Start(name, args...)
	return err
}

func stopDaemons() {
	daemons.Stop()
	if !rig.Guest() {
		_ = os.RemoveAll(place)
	}
}

// docker runs the client on the machine's dockerd.
func docker(args ...string) (string, error) { return client(socket, args...) }

// The images of the tests.
const (
	outerImage   = "e2e/outer"   // cgshim and the peers' scripts, with the machine's programs in /usr
	scratchImage = "e2e/scratch" // cgshim and one static program
	plainImage   = "e2e/plain"   // busybox
)

func importImages() error {
	o := rig.NewImage("dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var/lib", "var/run")
	o.Copy("cgshim", cgshim())
	o.Busybox()
	o.Link("lib", "usr/lib")
	o.Link("lib64", "usr/lib64")
	o.File("dind", []byte(rig.DindSteps), 0o755)
	o.File("unshared", []byte(rig.UnshareSteps), 0o755)
	s := rig.NewImage()
	s.Copy("cgshim", cgshim())
	s.Copy("busybox", "/bin/busybox")
	outer, outerErr := o.Tar()
	scratch, scratchErr := s.Tar()
	plain, plainErr := rig.Plain()
	if err := errors.Join(outerErr, scratchErr, plainErr); err != nil {
		return err
	}
	for _, i := range []struct {
		name    string
		tar     []byte
		changes []string
	}{
		{outerImage, outer, nil},
		{scratchImage, scratch, nil},
		{pauseImage, scratch, []string{`--change=ENTRYPOINT ["/cgshim","--pause"]`}},
		{plainImage, plain, nil},
	} {
		if err := importImage(socket, i.name, bytes.NewReader(i.tar), i.changes...); err != nil {
			return err
		}
	}
	return nil
}

func plainTar() (io.Reader, error) {
	tar, err := rig.Plain()
	return bytes.NewReader(tar), err
}
