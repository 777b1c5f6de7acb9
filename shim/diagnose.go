package shim

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// diagnose explains why execve(2) of name failed with err. One errno can have several
// causes.
func diagnose(name string, env []string, err error) string {
	file := findFile(name, env)
	switch {
	case errors.Is(err, unix.ENOENT):
		switch {
		case name == "":
			return "the program's name is empty"
		case file == "" && !strings.Contains(name, "/"):
			return "not found in PATH"
		case file == "":
			return "no such file"
		}
		if interpreter := interpreterOf(file); interpreter != "" {
			return "interpreter " + interpreter + " of " + file + " is missing"
		}
		if other := otherMachine(file); other != "" {
			return other
		}
		return file + " is in no format that the kernel knows, and there is no /bin/sh to read it"
	case errors.Is(err, unix.EACCES):
		return explainEACCES(cmp.Or(file, name))
	case errors.Is(err, unix.ETXTBSY):
		return file + " is open for writing"
	case errors.Is(err, unix.E2BIG):
		return "the arguments and the environment are too long"
	}
	return ""
}

// findFile returns the first existing file that execvp(3) would try for name, or "".
func findFile(name string, env []string) string {
	for _, file := range searchPath(name, env) {
		var s unix.Stat_t
		if err := unix.Stat(file, &s); err == nil || err == unix.EACCES {
			return file
		}
	}
	return ""
}

func explainEACCES(file string) string {
	var info unix.Stat_t
	if unix.Stat(file, &info) != nil {
		return "a directory on the way to " + file + " may not be searched"
	}
	if info.Mode&unix.S_IFMT == unix.S_IFDIR {
		return file + " is a directory"
	}
	if info.Mode&0o111 == 0 {
		return file + " is not executable: chmod +x"
	}
	var mount unix.Statfs_t
	if unix.Statfs(file, &mount) == nil && mount.Flags&unix.ST_NOEXEC != 0 {
		return file + " is on a file system mounted noexec"
	}
	return "user " + strconv.Itoa(os.Geteuid()) + " may not execute " + file
}

// interpreterOf returns the interpreter or dynamic loader that file names, if it is
// missing. Otherwise interpreterOf returns "".
func interpreterOf(file string) string {
	text, _ := readFile(file)
	data := []byte(text)
	interpreter := ""
	if line, found := bytes.CutPrefix(data, []byte("#!")); found {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		if words := strings.Fields(string(line)); len(words) > 0 {
			interpreter = words[0]
		}
		if strings.HasSuffix(string(line), "\r") {
			interpreter += `\r` // the kernel takes the carriage return as a part of the name
			return interpreter
		}
	} else {
		interpreter = elfInterpreter(data)
	}
	if interpreter == "" {
		return ""
	}
	var s unix.Stat_t
	if unix.Stat(interpreter, &s) == nil {
		return ""
	}
	return interpreter
}

// elf reads the header of an ELF file. The offsets of its fields depend on the class of
// the file, which is 32 or 64 bits (elf(5)).
type elf struct {
	data  []byte
	order binary.ByteOrder
	wide  bool
}

func parseELF(data []byte) (elf, bool) {
	if len(data) < 64 || string(data[:4]) != "\x7fELF" {
		return elf{}, false
	}
	e := elf{data: data, order: binary.LittleEndian, wide: data[4] == 2}
	if data[5] == 2 {
		e.order = binary.BigEndian
	}
	return e, true
}

func (e elf) half(at int) int { return int(e.order.Uint16(e.data[at:])) }

func (e elf) word(at, atWide int) int {
	if e.wide {
		return int(e.order.Uint64(e.data[atWide:]))
	}
	return int(e.order.Uint32(e.data[at:]))
}

func elfInterpreter(data []byte) string {
	e, ok := parseELF(data)
	if !ok {
		return ""
	}
	start, size, count := e.word(28, 32), e.half(42), e.half(44)
	if e.wide {
		size, count = e.half(54), e.half(56)
	}
	for i := range count {
		at := start + i*size
		if at < 0 || at > len(data)-56 {
			return ""
		}
		const ptInterp = 3
		if e.order.Uint32(data[at:]) != ptInterp {
			continue
		}
		from, length := e.word(at+4, at+8), e.word(at+16, at+32)
		if from < 0 || length < 1 || length > len(data) || from > len(data)-length {
			return ""
		}
		return string(data[from : from+length-1])
	}
	return ""
}

// machineName names the e_machine values (elf(5)) of the architectures that Go supports
// on Linux.
func machineName(machine int) string {
	switch machine {
	case 3:
		return "386"
	case 8:
		return "mips"
	case 21:
		return "ppc64"
	case 22:
		return "s390x"
	case 40:
		return "arm"
	case 62:
		return "amd64"
	case 183:
		return "arm64"
	case 243:
		return "riscv64"
	case 258:
		return "loong64"
	}
	return ""
}

// otherMachine returns a reason if file is an ELF binary for another architecture.
func otherMachine(file string) string {
	text, _ := readFile(file)
	data := []byte(text)
	e, ok := parseELF(data)
	if !ok {
		return ""
	}
	machine := machineName(e.half(18))
	if machine == "" || strings.HasPrefix(runtime.GOARCH, machine) {
		return ""
	}
	return file + " is built for " + machine + ", this is " + runtime.GOARCH
}
