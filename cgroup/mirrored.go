package cgroup

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Mirrored is the state between two copies of the container's limits. It can be handed
// on to another process as text. The zero Mirrored asks for no copy.
type Mirrored struct {
	id       uint64 // the container's cgroup
	leaf     string
	oomGroup string // value for memory.oom.group of the container, or "" to leave the file alone
	files    []copiedFile
}

// copiedFile is one file that is copied.
type copiedFile struct {
	name   string
	copied string // the value that was copied last, or "" if none was
}

// longestLimit is longer than every value that the kernel shows in a limit file. The
// longest has two numbers (cpu.max).
const longestLimit = 40

func newMirrored(what Mirror, leaf string, recursive bool) Mirrored {
	m := Mirrored{leaf: leaf}
	for _, name := range what.files(recursive) {
		m.files = append(m.files, copiedFile{name: name})
	}
	return m
}

func (m Mirrored) clone() Mirrored {
	m.files = slices.Clone(m.files)
	return m
}

func (m Mirrored) nothing() bool { return len(m.files) == 0 && m.oomGroup == "" }

// watched returns the names of the files whose change asks for a copy.
func (m Mirrored) watched() (names []string) {
	for _, f := range m.files {
		names = append(names, f.name)
	}
	if m.oomGroup != "" && !slices.Contains(names, oomGroupFile) {
		names = append(names, oomGroupFile)
	}
	return names
}

// String returns m as text for [ParseMirrored]. It is printable apart from newlines, and
// shorter than 2 kB. The text of the zero Mirrored is "".
func (m Mirrored) String() string {
	if m.nothing() {
		return ""
	}
	lines := []string{strconv.FormatUint(m.id, 10), strconv.QuoteToASCII(m.leaf), m.oomGroup}
	for _, f := range m.files {
		lines = append(lines, f.name+" "+f.copied)
	}
	return strings.Join(lines, "\n")
}

// ParseMirrored parses the text of [Mirrored.String].
func ParseMirrored(s string) (m Mirrored, err error) {
	if s == "" {
		return m, nil
	}
	lines := strings.Split(s, "\n")
	if len(lines) < 3 {
		return Mirrored{}, errMirrored
	}
	id, err1 := strconv.ParseUint(lines[0], 10, 64)
	leaf, err2 := strconv.Unquote(lines[1])
	if err1 != nil || err2 != nil {
		return Mirrored{}, errMirrored
	}
	m = Mirrored{id: id, leaf: leaf, oomGroup: lines[2]}
	for _, line := range lines[3:] {
		name, copied, ok := strings.Cut(line, " ")
		if !ok || !row(name).copied(false) {
			return Mirrored{}, errMirrored
		}
		m.files = append(m.files, copiedFile{name, copied})
	}
	return m, nil
}

var errMirrored = errors.New("not the text of a Mirrored")
