package shim

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// put writes a file and makes the directories above it.
func put(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
}

// order is the interface that binary.LittleEndian and binary.BigEndian implement.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// elfFor returns the header of a static binary for a machine (elf(5)).
func elfFor(machine uint16, order order) []byte { return elfWith(machine, order, true, "") }

// elfWith adds a program header that names an interpreter.
func elfWith(machine uint16, order order, wide bool, interpreter string) []byte {
	data := make([]byte, 256, 512)
	copy(data, "\x7fELF\x01\x01\x01")
	if wide {
		data[4] = 2
	}
	if order.String() == binary.BigEndian.String() {
		data[5] = 2
	}
	order.PutUint16(data[18:], machine)
	if interpreter == "" {
		return data
	}
	// Two program headers, PT_LOAD and then PT_INTERP, which is 3.
	const at = 64
	if wide {
		order.PutUint64(data[32:], at)
		order.PutUint16(data[54:], 56)
		order.PutUint16(data[56:], 2)
		order.PutUint32(data[at:], 1)
		order.PutUint32(data[at+56:], 3)
		order.PutUint64(data[at+56+8:], 256)
		order.PutUint64(data[at+56+32:], uint64(len(interpreter)+1))
	} else {
		order.PutUint32(data[28:], at)
		order.PutUint16(data[42:], 32)
		order.PutUint16(data[44:], 2)
		order.PutUint32(data[at:], 1)
		order.PutUint32(data[at+32:], 3)
		order.PutUint32(data[at+32+4:], 256)
		order.PutUint32(data[at+32+16:], uint32(len(interpreter)+1))
	}
	return append(data, interpreter+"\x00"...)
}

// One errno of execve(2) has several causes, which the file tells apart.
func TestDiagnose(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	const gone = "/no/such/interpreter"
	foreign := uint16(22) // s390x
	for name, content := range map[string]string{
		"plain": "text", "script": "#!" + gone + " -x\n", "present": "#!/proc/self/exe\n", "crlf": "#!/bin/sh\r\n", "empty#!": "#!\n",
		"elf64": string(elfWith(62, binary.LittleEndian, true, gone)), "elf64big": string(elfWith(foreign, binary.BigEndian, true, gone)),
		"elf32": string(elfWith(3, binary.LittleEndian, false, gone)), "elf32big": string(elfWith(8, binary.BigEndian, false, gone)),
		"foreign": string(elfFor(foreign, binary.BigEndian)), "unknown": string(elfFor(999, binary.LittleEndian)),
	} {
		put(t, at(name), content, 0o755)
	}
	put(t, at("data"), "x", 0o644)
	env := []string{"PATH=/no/such/directory:" + dir}
	missing := func(file string) string { return "interpreter " + gone + " of " + at(file) + " is missing" }
	noFormat := func(file string) string {
		return at(file) + " is in no format that the kernel knows, and there is no /bin/sh to read it"
	}
	for _, c := range []struct {
		name, program string
		err           error
		want          string
	}{
		{"an empty name", "", unix.ENOENT, "the program's name is empty"},
		{"a name that is nowhere in PATH", "nosuch", unix.ENOENT, "not found in PATH"},
		{"a path that is not there", at("nosuch"), unix.ENOENT, "no such file"},
		{"a script without its interpreter", at("script"), unix.ENOENT, missing("script")},
		{"a script found in PATH", "script", unix.ENOENT, missing("script")},
		{"a script that Windows has written", at("crlf"), unix.ENOENT, `interpreter /bin/sh\r of ` + at("crlf") + " is missing"},
		{"a script whose interpreter is there", at("present"), unix.ENOENT, noFormat("present")},
		{"a script that names none", at("empty#!"), unix.ENOENT, noFormat("empty#!")},
		{"a binary without its loader", at("elf64"), unix.ENOENT, missing("elf64")},
		{"a big-endian one", at("elf64big"), unix.ENOENT, missing("elf64big")},
		{"one of 32 bits", at("elf32"), unix.ENOENT, missing("elf32")},
		{"a big-endian one of 32 bits", at("elf32big"), unix.ENOENT, missing("elf32big")},
		{"a static binary for another machine", at("foreign"), unix.ENOENT, at("foreign") + " is built for s390x, this is " + runtime.GOARCH},
		{"a binary for a machine that has no name here", at("unknown"), unix.ENOENT, noFormat("unknown")},
		{"a file in no format", at("plain"), unix.ENOENT, noFormat("plain")},
		{"a directory", dir, unix.EACCES, dir + " is a directory"},
		{"a file without the x bit", at("data"), unix.EACCES, at("data") + " is not executable: chmod +x"},
		{"a file that is open for writing", at("plain"), unix.ETXTBSY, at("plain") + " is open for writing"},
		{"too many arguments", at("plain"), unix.E2BIG, "the arguments and the environment are too long"},
		{"an errno that says it all", at("plain"), unix.ENOMEM, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := diagnose(c.program, env, c.err); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
	t.Run("a file that an LSM or another user's mode protects", func(t *testing.T) {
		if got := diagnose(at("plain"), env, unix.EACCES); !strings.HasPrefix(got, "user ") && !strings.HasSuffix(got, "noexec") {
			t.Errorf("%q", got)
		}
	})
	t.Run("a file on a file system without execution", func(t *testing.T) {
		var s unix.Statfs_t
		if err := unix.Statfs("/proc/version", &s); err != nil || s.Flags&unix.ST_NOEXEC == 0 {
			t.Skip("/proc is not mounted noexec here")
		}
		if got := explainEACCES("/proc/sysrq-trigger"); !strings.Contains(got, "/proc/sysrq-trigger is ") {
			t.Errorf("%q", got)
		}
	})
	t.Run("a directory that may not be searched", func(t *testing.T) {
		if got := explainEACCES("/no/such/file"); got != "a directory on the way to /no/such/file may not be searched" {
			t.Errorf("%q", got)
		}
	})
	t.Run("every port of Go's has its number of elf(5)", func(t *testing.T) {
		for machine, want := range map[int]string{3: "386", 8: "mips", 21: "ppc64", 22: "s390x", 40: "arm", 62: "amd64", 183: "arm64", 243: "riscv64", 258: "loong64", 1: ""} {
			if got := machineName(machine); got != want {
				t.Errorf("machine %d is %q, want %q", machine, got, want)
			}
		}
	})
	t.Run("strerror is glibc's", func(t *testing.T) {
		for err, want := range map[error]string{
			unix.ENOENT: "No such file or directory", unix.EACCES: "Permission denied", os.NewSyscallError("execve", unix.EINVAL): "Invalid argument",
			errors.New("some text"): "Some text",
		} {
			if got := strerror(err); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
}
