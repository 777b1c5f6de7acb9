package rig

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
)

var applets = []string{"cat", "echo", "env", "find", "grep", "id", "kill", "ls", "mkdir", "mount", "ps", "sed", "sh", "sleep", "true", "tty", "umount", "xargs"}

// Image is the tar of a container's root file system. The first error is kept.
type Image struct {
	tar  bytes.Buffer
	w    *tar.Writer
	have map[string]bool
	err  error
}

// NewImage returns an image with these directories.
func NewImage(dirs ...string) *Image {
	i := &Image{have: map[string]bool{}}
	i.w = tar.NewWriter(&i.tar)
	for _, dir := range dirs {
		i.Add(&tar.Header{Name: dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}, nil)
	}
	return i
}

// Add adds what has not been added under its name before.
func (i *Image) Add(h *tar.Header, data []byte) {
	if i.have[h.Name] || i.err != nil {
		return
	}
	i.have[h.Name] = true
	h.Size = int64(len(data))
	i.err = i.w.WriteHeader(h)
	if i.err == nil {
		_, i.err = i.w.Write(data)
	}
}

// File adds a file.
func (i *Image) File(name string, data []byte, mode int64) {
	i.Add(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode}, data)
}

// Link adds a symbolic link.
func (i *Image) Link(name, target string) {
	i.Add(&tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, nil)
}

// Copy adds one of the machine's files as a program.
func (i *Image) Copy(name, from string) {
	data, err := os.ReadFile(from)
	if i.err == nil {
		i.err = err
	}
	i.File(name, data, 0o755)
}

// Busybox adds busybox and the names that the tests call it by.
func (i *Image) Busybox() {
	i.Copy("bin/busybox", "/bin/busybox")
	for _, name := range applets {
		i.Link("bin/"+name, "busybox")
	}
}

// Tar ends the image.
func (i *Image) Tar() ([]byte, error) {
	return i.tar.Bytes(), errors.Join(i.err, i.w.Close())
}

// Plain is an image of busybox.
func Plain() ([]byte, error) {
	i := NewImage("dev", "etc", "proc", "run", "sys", "tmp")
	i.Busybox()
	return i.Tar()
}

// Import gives an image to a dockerd.
func Import(socket, name string, tar io.Reader, changes ...string) error {
	args := append([]string{"--host=unix://" + socket, "import"}, changes...)
	cmd := exec.Command("docker", append(args, "-", name)...)
	cmd.Stdin = tar
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New("docker import "+name+": "+string(out)))
	}
	return nil
}
