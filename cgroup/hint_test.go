package cgroup

import (
	"cmp"
	"flag"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the hints into docs/troubleshooting.md")

// docs/troubleshooting.md has the table of hint.go.
func TestHintsAreDocumented(t *testing.T) {
	if _, err := os.Stat("hint.go"); err != nil {
		t.Skip("the sources are not here, as in a VM: make test runs it")
	}
	const page, begin, end = "../docs/troubleshooting.md", "<!-- begin hints -->\n", "<!-- end hints -->\n"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no markers", page)
	}
	want := before + begin + hintTable() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(data) != want {
		t.Errorf("%s is not what hint.go says: go test ./cgroup -run TestHints -update", page)
	}
}

func hintTable() string {
	var b strings.Builder
	b.WriteString("| call | file | error | what to change |\n|---|---|---|---|\n")
	for _, row := range hints {
		call, file, _ := strings.Cut(row.call, " ")
		errno := "any"
		if row.err != 0 {
			name := strings.ReplaceAll(unix.ErrnoName(row.err), "ENOTSUP", "EOPNOTSUPP") // the kernel's name
			errno = row.err.Error() + " (" + name + ")"
		}
		for _, cell := range []string{cmp.Or(call, "any"), cmp.Or(file, "any"), errno, row.hint} {
			b.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
		}
		b.WriteString("|\n")
	}
	return b.String()
}
