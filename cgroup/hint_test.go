package cgroup

import (
	"cmp"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/internal/golden"
)

// docs/troubleshooting.md has the table of hint.go.
func TestHintsAreDocumented(t *testing.T) {
	if _, err := os.Stat("hint.go"); err != nil {
		t.Skip("the sources are not here, as in a VM: make test runs it")
	}
	golden.Section(t, "../docs/troubleshooting.md", "<!-- begin hints -->\n", "<!-- end hints -->\n", hintTable(),
		"hint.go", "go test ./cgroup -run TestHints -update")
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
