package starved

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// writePage writes the two tables into docs/survival.md, each between its markers.
func writePage() error {
	_, here, _, _ := runtime.Caller(0)
	page := filepath.Join(filepath.Dir(here), "../../docs/survival.md")
	if len(minima) < len(resources) || len(rows) == 0 {
		return fmt.Errorf("%s: not every test has run: run them all with -update", page)
	}
	data, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text := string(data)
	var b strings.Builder
	fmt.Fprintf(&b, "Seen on %s, %d CPUs, with Debian's tini-static.\n\n", machine(), runtime.NumCPU())
	b.WriteString("| the container | cgshim | tini-static |\n|---|---|---|\n")
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row[0], row[1], row[2])
	}
	if text, err = between(text, "survival", b.String()); err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	b.Reset()
	b.WriteString("| least | cgshim | tini-static |\n|---|---|---|\n")
	for _, m := range minima {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.what, m.amount(m.cgshim), m.amount(m.tini))
	}
	if text, err = between(text, "minima", b.String()); err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return os.WriteFile(page, []byte(text), 0o644)
}

// between replaces the text between the markers of a table.
func between(text, name, table string) (string, error) {
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	before, rest, ok1 := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		return "", fmt.Errorf("no markers of %s", name)
	}
	return before + begin + table + end + after, nil
}
