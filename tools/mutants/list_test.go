package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A mistake can be made, and its name is its own. The documents have the mistakes that no
// test notices.
func TestList(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range mutants {
		source, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(source), m.old); n != 1 || m.old == m.new {
			t.Errorf("%s: %s: %q occurs %d times", m.file, m.name, m.old, n)
		}
		if row := "(`" + m.file + "`) | " + m.explained + " |"; m.explained != "" && !strings.Contains(string(page), row) {
			t.Errorf("docs/testing.md has no row %q", row)
		}
		if key := m.file + m.name; seen[key] || m.name == "" {
			t.Errorf("%s: %s is there twice", m.file, m.name)
		} else {
			seen[key] = true
		}
	}
}
