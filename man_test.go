package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the option list of docs/cgshim.8")

// The man page's options are those of --help.
func TestManPage(t *testing.T) {
	const page, begin, end = "docs/cgshim.8", ".\\\" BEGIN OPTIONS\n", ".\\\" END OPTIONS\n"
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(data), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no markers", page)
	}
	want := before + begin + manOptions() + end + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(data) != want {
		t.Errorf("%s is not what options.go says: go test -run TestManPage -update", page)
	}
}

func manOptions() string {
	var b strings.Builder
	for _, o := range options() {
		b.WriteString(".It ")
		if o.short != "" {
			b.WriteString("Fl " + o.short)
			if o.arg != "" {
				b.WriteString(" Ar " + o.arg)
			}
			b.WriteString(" , ")
		}
		b.WriteString("Fl -" + o.long)
		if o.arg != "" {
			b.WriteString(" Ns = Ns Ar " + o.arg)
		}
		// A line that begins with a dot or a quote would be a request.
		b.WriteString("\n" + strings.ToUpper(o.help[:1]) + o.help[1:] + ".\n")
		if o.env != "" {
			b.WriteString(".Pq Ev " + o.env + "\n")
		}
	}
	return b.String()
}
