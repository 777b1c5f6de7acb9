package main

import (
	"testing"
)

func TestCount(t *testing.T) {
	for _, c := range []struct {
		name, text string
		words      int
		hits       []int // by measure
	}{
		{"a.go", "// Who did it: nobody.\n//go:build linux\npackage a // one that stays\n\nvar s = \"who: x\"\n", 7, []int{2, 1, 1}},
		{"a.go", "// This is\n//\n//\twho: code\npackage a\n", 2, []int{0, 0, 0}},
		{"a.sh", "#!/bin/sh\n# A list of:\n#\n# what is left\necho who # not counted\n", 6, []int{0, 0, 1}},
		{"a.md", "# Who\n\nAn example:\n\n    who: code\n\n| cell: one | `who: x` |\n|---|---|\n\n```\nwho\n```\n", 5, []int{0, 1, 0}},
		{"a.md", "Made by make; do not edit.\n\n| who |\n", 0, []int{0, 0, 0}},
		{"a.md", "<!-- begin table -->\nwho\n<!-- end table -->\n[a: b](who)\n", 2, []int{0, 1, 0}},
		{"a.8", ".Nm who\nthat of\nthe kernel: it\n.Bd -literal\nwho: x\n.Ed\n", 5, []int{0, 1, 1}},
		{"a.txt", "who\n", 0, []int{0, 0, 0}},
	} {
		list, docs := passages(c.name, c.text)
		f := count(c.name, docs, list)
		if f.words != c.words {
			t.Errorf("%s %q: %d words, not %d: %v", c.name, c.text, f.words, c.words, list)
		}
		for i, want := range c.hits {
			if len(f.hits[i]) != want {
				t.Errorf("%s %q: %d of %q, not %d", c.name, c.text, len(f.hits[i]), measures[i].name, want)
			}
		}
	}
}

func TestReportFailsAboveALimit(t *testing.T) {
	for text, good := range map[string]bool{"The kernel moves the process.\n": true, "Somebody moves it.\n": false} {
		list, docs := passages("a.md", text)
		if report([]file{count("a.md", docs, list)}, false) != good {
			t.Errorf("%q: %v is wanted", text, good)
		}
	}
}
