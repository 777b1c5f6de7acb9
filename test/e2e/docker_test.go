package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// place has everything that the run leaves on the machine's disk.
const place = "/var/lib/cgshim-e2e"

// socket is the outer dockerd's.
const socket = place + "/docker.sock"

var longID = regexp.MustCompile(`\b([0-9a-f]{12})[0-9a-f]{52}\b`)

// daemons are the processes that prepare started.
var daemons []*exec.Cmd

// prepare makes the machine what a Docker host is, and starts its dockerd.
func prepare() error {
	for _, dir := range []string{place, "/run"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if os.Getenv(inGuest) != "" {
		if err := likeSystemd(); err != nil {
			return err
		}
	}
	resetOptions()
	// A copy under the name whose defaults are tini's.
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

// likeSystemd gives the machine what matters here of systemd's work: shared
// mounts, and nothing in the top cgroup but kernel threads.
func likeSystemd() error {
	if err := syscall.Mount("", "/", "", syscall.MS_SHARED|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("mount --make-rshared /: %w", err)
	}
	for _, m := range [][2]string{{"tracefs", "/sys/kernel/tracing"}, {"debugfs", "/sys/kernel/debug"}, {"securityfs", "/sys/kernel/security"}} {
		if err := syscall.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	// Mounted on first use, which is not to look like a container's doing.
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

// daemon starts a service of the machine, with its output in place.
func daemon(name string, args ...string) error {
	log, err := os.Create(filepath.Join(place, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	// A signal from the terminal ends the tests, which then end the daemons.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	daemons = append(daemons, cmd)
	return nil
}

func stopDaemons() {
	for _, cmd := range daemons {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	if os.Getenv(inGuest) == "" {
		_ = os.RemoveAll(place)
	}
}

// run returns a command's output without the last newline; the error has what it
// said on stderr.
func run(name string, args ...string) (string, error) {
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
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(stderr.String(), 3))
	}
	return strings.TrimSpace(string(out)), err
}

// docker runs the client on the machine's dockerd.
func docker(args ...string) (string, error) { return client(socket, args...) }

func client(socket string, args ...string) (string, error) {
	out, err := run("docker", append([]string{"--host=unix://" + socket}, args...)...)
	if err != nil { // the client's name and address say nothing
		err = errors.New(strings.Replace(err.Error(), "docker --host=unix://"+socket, "docker", 1))
	}
	return out, err
}

// statusOf is the client's exit status, which is the container's, and all that it said;
// -1 if it did not end.
func statusOf(socket string, args ...string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", append([]string{"--host=unix://" + socket}, args...)...)
	cmd.WaitDelay = time.Second
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), strings.TrimSpace(string(out))
}

func ping(socket string) error {
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

// eventually repeats f until it succeeds, and returns its last error when the time
// is over.
func eventually(limit time.Duration, f func() error) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		if fatal := new(hopeless); errors.As(err, &fatal) {
			return err
		}
	}
}

// hopeless is an error that waiting does not mend.
type hopeless struct{ error }

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// Images.
const (
	outerImage   = "e2e/outer"   // dockerd and the inits
	scratchImage = "e2e/scratch" // cgshim and one static program
	plainImage   = "e2e/plain"   // busybox
)

var applets = []string{"cat", "echo", "env", "find", "grep", "id", "kill", "ls", "mkdir", "mount", "ps", "sed", "sh", "sleep", "true", "tty", "umount", "xargs"}

func importImages() error {
	var outer, scratch bytes.Buffer
	o := image{w: tar.NewWriter(&outer)}
	for _, dir := range []string{"dev", "etc", "proc", "root", "run", "sys", "tmp", "var/lib", "var/run"} {
		o.dir(dir)
	}
	o.copy("cgshim", cgshim())
	for _, name := range []string{"dockerd", "containerd", "containerd-shim-runc-v2", "runc", "crun", "apparmor_parser", "tini", "unshare"} {
		if err := o.program(name); err != nil {
			return err
		}
	}
	o.busybox()
	o.file("dind", []byte(dindSteps), 0o755)
	o.file("unshared", []byte(unshareSteps), 0o755)
	s := image{w: tar.NewWriter(&scratch)}
	s.copy("cgshim", cgshim())
	s.copy("busybox", "/bin/busybox")
	p, err := plainTar()
	if err != nil {
		return err
	}
	for _, i := range []struct {
		name    string
		err     error
		tar     io.Reader
		changes []string
	}{
		{outerImage, o.close(), &outer, nil},
		{scratchImage, s.close(), bytes.NewReader(scratch.Bytes()), nil},
		{pauseImage, nil, &scratch, []string{`--change=ENTRYPOINT ["/cgshim","--pause"]`}},
		{plainImage, nil, p, nil},
	} {
		if i.err != nil {
			return i.err
		}
		if err := importImage(socket, i.name, i.tar, i.changes...); err != nil {
			return err
		}
	}
	return nil
}

func importImage(socket, name string, tar io.Reader, changes ...string) error {
	args := append([]string{"--host=unix://" + socket, "import"}, changes...)
	cmd := exec.CommandContext(limited(), "docker", append(args, "-", name)...)
	cmd.Stdin = tar
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docker import %s: %w: %s", name, err, out)
	}
	return nil
}

func plainTar() (io.Reader, error) {
	var b bytes.Buffer
	p := image{w: tar.NewWriter(&b)}
	for _, dir := range []string{"dev", "etc", "proc", "run", "sys", "tmp"} {
		p.dir(dir)
	}
	p.busybox()
	return &b, p.close()
}

// image writes the tar of a root file system. The first error is kept.
type image struct {
	w    *tar.Writer
	have map[string]bool
	err  error
}

func (i *image) add(h *tar.Header, data []byte) {
	if i.have[h.Name] || i.err != nil {
		return
	}
	if i.have == nil {
		i.have = map[string]bool{}
	}
	i.have[h.Name] = true
	h.Size = int64(len(data))
	i.err = i.w.WriteHeader(h)
	if i.err == nil {
		_, i.err = i.w.Write(data)
	}
}

func (i *image) dir(name string) {
	i.add(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
}

func (i *image) file(name string, data []byte, mode int64) {
	i.add(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}, data)
}

func (i *image) copy(name, from string) {
	data, err := os.ReadFile(from)
	if i.err == nil {
		i.err = err
	}
	i.file(name, data, 0o755)
}

func (i *image) busybox() {
	i.copy("bin/busybox", "/bin/busybox")
	for _, name := range applets {
		i.add(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
}

// program puts one of the machine's programs into bin, with its libraries where
// the loader looks for them.
func (i *image) program(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return err
	}
	i.copy("bin/"+name, path)
	libraries, err := run("ldd", path)
	if err != nil {
		return nil // a static program
	}
	for _, word := range strings.Fields(libraries) {
		if strings.HasPrefix(word, "/") {
			i.copy(word[1:], word)
		}
	}
	return nil
}

func (i *image) close() error { return errors.Join(i.err, i.w.Close()) }
