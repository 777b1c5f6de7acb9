package shim

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

func TestArgument(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"dockerd", "--pidfile", "/x"}, "/x"},
		{[]string{"dockerd", "--pidfile=/x"}, "/x"},
		{[]string{"dockerd", "-p", "/x"}, "/x"},
		{[]string{"dockerd", "-p/x"}, "/x"},
		{[]string{"dockerd", "--pidfile"}, ""},
		{[]string{"dockerd", "--pidfiles=/x"}, ""},
		{[]string{"dockerd"}, ""},
	} {
		if got := argument(c.args, "--pidfile", "-p"); got != c.want {
			t.Errorf("argument(%q) = %q, want %q", c.args, got, c.want)
		}
	}
}

func TestRemoveStalePidFiles(t *testing.T) {
	root := t.TempDir()
	emptyRun(t)
	write := func(name, content string) string {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	gone := []string{
		write("docker.pid", "4194305\n"),                              // above the kernel's highest pid_max
		write("containerd/containerd.pid", strconv.Itoa(os.Getpid())), // alive, but not a daemon
		write("docker-empty.pid", ""),
	}
	kept := []string{
		write("nginx.pid", "4194305\n"),
		write("docker.sock", "4194305\n"),
	}
	link := filepath.Join(root, "docker-link.pid")
	if err := os.Symlink(kept[0], link); err != nil {
		t.Fatal(err)
	}
	removeStalePidFiles([]string{"dockerd", "--exec-root=" + root}, new(world))
	for _, file := range gone {
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("%s is still there", file)
		}
	}
	for _, file := range append(kept, link) {
		if _, err := os.Lstat(file); err != nil {
			t.Errorf("%s was removed: %v", file, err)
		}
	}
}
