// Package docker starts a dockerd on this machine for a test, without a network and without a
// registry. It makes images for this dockerd from files of the machine.
package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// Daemon is a dockerd with directories of its own.
type Daemon struct {
	t      *testing.T
	dir    string
	client string
}

// Start starts a dockerd that ends with the test.
func Start(t *testing.T) *Daemon {
	t.Helper()
	lab.Root(t)
	dir, err := os.MkdirTemp("", "cgshim-docker-") // a short path, because a socket's path has at most 108 bytes (unix(7))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	// Prefer Debian's client, which contains BuildKit. Another client in /usr/local/bin may
	// need a BuildKit plugin that the machine lacks.
	d := &Daemon{t: t, dir: dir, client: "/usr/bin/docker"}
	if _, err := os.Stat(d.client); err != nil {
		d.client = "docker"
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	// dockerd gets a mount namespace of its own, so that its mounts disappear with it.
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "dockerd",
		"--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--host", "unix://"+d.socket(),
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--cgroup-parent=/"+filepath.Base(dir))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill() // also ends its PID namespace
			<-ended
		}
		d.removeCgroups()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			lines := strings.Split(strings.TrimSpace(string(log)), "\n")
			t.Logf("dockerd:\n%s", strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
	})
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if d.Command("version").Run() == nil {
			return d
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("dockerd ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("dockerd does not answer for 2 minutes")
		}
	}
}

func (d *Daemon) socket() string { return filepath.Join(d.dir, "sock") }

func (d *Daemon) removeCgroups() {
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		tops, _ := filepath.Glob(pattern + filepath.Base(d.dir))
		for _, top := range tops {
			var dirs []string
			_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append([]string{path}, dirs...)
				}
				return nil
			})
			for _, dir := range dirs {
				_ = os.Remove(dir)
			}
		}
	}
}

// Command returns a command of the client docker for this daemon, without the user's
// configuration.
func (d *Daemon) Command(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(d.t.Context()), 8*time.Minute)
	d.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, d.client, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "DOCKER_HOST=unix://" + d.socket()}
	return cmd
}

// Result has the output and the status of a command.
type Result struct {
	Stdout, Stderr string
	Status         int
}

// Run runs docker and accepts any status.
func (d *Daemon) Run(args ...string) Result { return d.run(d.Command(args...)) }

func (d *Daemon) run(cmd *exec.Cmd) Result {
	d.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		d.t.Fatalf("%q: %v", cmd.Args, err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Must runs docker and returns its standard output. A status other than 0 fails the test.
func (d *Daemon) Must(args ...string) string {
	d.t.Helper()
	return d.must(d.Command(args...))
}

func (d *Daemon) must(cmd *exec.Cmd) string {
	d.t.Helper()
	result := d.run(cmd)
	if result.Status != 0 {
		d.t.Fatalf("%q: status %d\n%s%s", cmd.Args, result.Status, result.Stdout, result.Stderr)
	}
	return strings.TrimSpace(result.Stdout)
}

// Build runs docker build with BuildKit or with the older builder.
func (d *Daemon) Build(buildKit bool, args ...string) string {
	d.t.Helper()
	cmd := d.Command(append([]string{"build"}, args...)...)
	cmd.Env = append(cmd.Env, "DOCKER_BUILDKIT=0")
	if buildKit {
		cmd.Env[len(cmd.Env)-1] = "DOCKER_BUILDKIT=1"
	}
	return d.must(cmd)
}

// BuildFrom is Build with the text of a Dockerfile and without a context.
func (d *Daemon) BuildFrom(buildKit bool, dockerfile string, args ...string) string {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "Dockerfile")
	if err := os.WriteFile(file, []byte(dockerfile), 0o644); err != nil {
		d.t.Fatal(err)
	}
	return d.Build(buildKit, append(args, filepath.Dir(file))...)
}

// Import makes an image of these files, with options of docker import.
func (d *Daemon) Import(tag string, files Files, options ...string) {
	d.t.Helper()
	cmd := d.Command(append(append([]string{"import"}, options...), "-", tag)...)
	stream, w := io.Pipe()
	cmd.Stdin = stream
	go func() { w.CloseWithError(files.writeTo(w)) }()
	d.must(cmd)
	_ = stream.Close()
}

// Files maps each path in an image to the path of a file or directory on this machine, or to a
// value of Text or Link.
type Files map[string]string

const (
	textMark = "text:"
	linkMark = "link:"
)

// Text is a file with this text, for short programs.
func Text(content string) string { return textMark + content }

// Link is a symbolic link.
func Link(target string) string { return linkMark + target }

// Busybox returns the files of an image that has the programs of busybox and the files in
// with.
func Busybox(t *testing.T, with Files) Files {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	files := Files{"bin/busybox": program, "etc/passwd": Text("root:x:0:0:root:/:/bin/sh\n")}
	for _, applet := range []string{"cat", "chmod", "cp", "echo", "env", "expr", "id", "ln", "ls", "mkdir", "mv", "readlink", "rm", "sed", "sh", "sleep", "test", "tr", "uname", "umount", "mount", "unshare"} {
		files["bin/"+applet] = Link("busybox")
	}
	for name, file := range with {
		files[name] = file
	}
	return files
}

// WithLibraries returns programs of this machine and the libraries that they load.
func WithLibraries(t *testing.T, programs ...string) Files {
	t.Helper()
	files := Files{}
	for _, name := range programs {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(program, "/")] = program
		out, _ := exec.Command("ldd", program).Output() // status 1 means a static program
		for _, word := range strings.Fields(string(out)) {
			if strings.HasPrefix(word, "/") {
				files[strings.TrimPrefix(word, "/")] = word
			}
		}
	}
	return files
}

func (files Files) writeTo(to io.Writer) error {
	w := tar.NewWriter(to)
	for name, from := range files {
		if content, ok := strings.CutPrefix(from, textMark); ok {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
				return err
			}
			if _, err := io.WriteString(w, content); err != nil {
				return err
			}
			continue
		}
		if target, ok := strings.CutPrefix(from, linkMark); ok {
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}); err != nil {
				return err
			}
			continue
		}
		if err := addTree(w, name, from); err != nil {
			return fmt.Errorf("add %s: %w", from, err)
		}
	}
	return w.Close()
}

// addTree adds a file, or a directory with everything in it. It follows links.
func addTree(w *tar.Writer, name, from string) error {
	from, err := filepath.EvalSymlinks(from)
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		header, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		header.Name = filepath.Join(name, rest)
		header.Uid, header.Gid = 0, 0
		if err := w.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(w, file)
		return err
	})
}
