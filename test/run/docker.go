package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// docker runs the client on the sandbox's daemon without the user's configuration.
func (r *run) docker(stdin io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(r.ctx, "docker", append([]string{"--host", "unix://" + r.path("docker.sock")}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir}
	cmd.Stdin = stdin
	return output(cmd)
}

// inside runs a shell command in the sandbox's namespaces, as docker exec does.
func (r *run) inside(line string) (string, error) {
	target := fmt.Sprint(r.pid1.Process.Pid)
	return output(exec.CommandContext(r.ctx, "nsenter", "--target", target, "--mount", "--pid", "--cgroup", "--", "/bin/sh", "-c", line))
}

func output(cmd *exec.Cmd) (string, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && stderr.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), err
}

// busyboxImage returns a root file system as a tar stream. It has busybox and other programs,
// which are the paths on this machine by their names in the image.
func busyboxImage(others map[string]string) (io.Reader, error) {
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	var image bytes.Buffer
	w := tar.NewWriter(&image)
	programs := map[string]string{"bin/busybox": path}
	maps.Copy(programs, others)
	for name, from := range programs {
		program, failed := os.ReadFile(from)
		if failed != nil {
			return nil, failed
		}
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(program))}))
		if err == nil {
			_, err = w.Write(program)
		}
	}
	for _, name := range []string{"sh", "sleep", "cat", "echo"} {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}))
	}
	return &image, errors.Join(err, w.Close())
}

// showTree prints the sandbox's cgroups as the host and as the sandbox see them.
func (r *run) showTree() {
	if r.tree == nil {
		return
	}
	fmt.Println("--- cgroups from outside")
	for _, dir := range cgroupsBelow(r.tree.dir) {
		fmt.Printf("  %s  %s\n", strings.TrimPrefix(dir, r.tree.mount), commands(dir))
	}
	fmt.Println("--- cgroups from inside")
	out, err := r.inside(`cd /sys/fs/cgroup && find . -type d | while read -r d; do echo "/${d#.}  $(cat "$d/cgroup.procs" | xargs)"; done | sed 's,^//,/,'`)
	if err != nil {
		r.fail("list inside: %v", err)
	}
	fmt.Println("  " + strings.ReplaceAll(out, "\n", "\n  "))
}

func commands(dir string) string {
	var names []string
	for _, pid := range strings.Fields(read(filepath.Join(dir, "cgroup.procs"))) {
		names = append(names, pid+":"+read("/proc/"+pid+"/comm"))
	}
	return strings.Join(names, " ")
}

// log returns the output of PID 1 and dockerd, and the first line of cgshim with the text.
func (r *run) log(text string) (lines []string, found string) {
	lines = strings.Split(read(r.path("log")), "\n")
	for _, line := range lines {
		if strings.Contains(line, "cgshim") && strings.Contains(line, text) {
			return lines, line
		}
	}
	return lines, ""
}

func (r *run) showLog() {
	lines, _ := r.log("")
	fmt.Println("--- the log's end")
	for _, line := range lines[max(0, len(lines)-30):] {
		fmt.Println("  " + line)
	}
}

func lastLine(text string) string { return text[strings.LastIndex(text, "\n")+1:] }

func short(text, id string) string { return strings.ReplaceAll(text, id, id[:12]) }

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}
