package main

import (
	"fmt"
	"io"
	"os"
)

// archive writes an initramfs, which is a cpio in the newc format (the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst). It keeps the first error.
type archive struct {
	w     io.Writer
	inode int
	err   error
}

const (
	modeDir  = 0o040755
	modeFile = 0o100755
	modeLink = 0o120777
)

func (a *archive) entry(name string, mode int, data []byte) {
	if a.err != nil {
		return
	}
	a.inode++
	header := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.padded([]byte(header + name + "\x00"))
	a.padded(data)
}

// padded writes data, and zeros up to a multiple of four bytes.
func (a *archive) padded(data []byte) {
	for _, part := range [][]byte{data, make([]byte, -len(data)&3)} {
		if _, err := a.w.Write(part); a.err == nil {
			a.err = err
		}
	}
}

func (a *archive) dir(name string)               { a.entry(name, modeDir, nil) }
func (a *archive) link(name, target string)      { a.entry(name, modeLink, []byte(target)) }
func (a *archive) data(name string, data []byte) { a.entry(name, modeFile, data) }
func (a *archive) end()                          { a.entry("TRAILER!!!", 0, nil) }

func (a *archive) file(name, from string) {
	data, err := os.ReadFile(from)
	if a.err == nil {
		a.err = err
	}
	a.entry(name, modeFile, data)
}
