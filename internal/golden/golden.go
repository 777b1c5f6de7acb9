// Package golden compares files of the repository with the text that a test generates.
// With the flag -update it writes them.
package golden

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing them")

// File compares a whole file with text. source is where the text comes from, and
// command is the command that writes the file.
func File(t testing.TB, file, text, source, command string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != text {
		t.Errorf("%s is not what %s says (%v): %s", file, source, err, command)
	}
}

// Section does the same with the part of a file between two markers.
func Section(t testing.TB, file, begin, end, text, source, command string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no markers %q and %q", file, begin, end)
	}
	File(t, file, before+begin+text+end+after, source, command)
}
