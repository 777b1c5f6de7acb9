package main

import (
	"bytes"
	"strings"
	"testing"
)

// relay must copy only the output of the test binary. A machine that ends without an exit
// status must count as a failure.
func TestRelay(t *testing.T) {
	for _, c := range []struct {
		name, console, out string
		status             int
		failed             bool
	}{
		{"the program's output alone is copied", "SeaBIOS\r\n\r\nvmrun: begin\r\nok\r\n\r\nvmrun: exit status 0\r\nreboot\r\n", "ok\n\n", 0, false},
		{"the status is the program's", "vmrun: begin\nFAIL\nvmrun: exit status 3\n", "FAIL\n", 3, false},
		{"a panic is no success", "vmrun: begin\nok\nKernel panic\n", "ok\nKernel panic\n", 0, true},
		{"nor is a kernel that does not boot", "no root\n", "", 0, true},
		{"nor a status that is cut off", "vmrun: begin\nvmrun: exit status ", "", 0, true},
	} {
		var out bytes.Buffer
		status, err := relay(strings.NewReader(c.console), &out)
		if status != c.status || (err != nil) != c.failed || out.String() != c.out {
			t.Errorf("%s: %d, %v, %q", c.name, status, err, out.String())
		}
	}
}

// Versions must compare as numbers. As text 6.12.99 would be newer than 6.12.117.
func TestNewestKernel(t *testing.T) {
	older, newer := numbers("linux-image-6.12.99+deb12-cloud-amd64"), numbers("linux-image-6.12.117+deb12-cloud-amd64")
	if newer[2] <= older[2] {
		t.Error(older, newer)
	}
}

// The kernel expects each entry of an initramfs at a multiple of four bytes
// (buffer-format.rst).
func TestArchiveIsAligned(t *testing.T) {
	var b bytes.Buffer
	a := archive{w: &b}
	for _, name := range []string{"a", "ab", "abc", "abcd"} {
		a.data(name, []byte(name))
		if b.Len()%4 != 0 {
			t.Errorf("%d bytes after %s", b.Len(), name)
		}
	}
	a.end()
	if a.err != nil || !strings.Contains(b.String(), "TRAILER!!!") {
		t.Error(a.err)
	}
}
