package main

import (
	"strings"
	"testing"

	"github.com/cgshim/cgshim/shim"
)

func TestVersionIsTheLinkersOrElseGos(t *testing.T) {
	t.Cleanup(func(v, c string) func() { return func() { version, commit = v, c } }(version, commit))
	version, commit = "1.2.3", "0123456789ab"
	// A test binary is linked without the entry point, and says so.
	if line := versionLine(&settings{}); line != "cgshim version 1.2.3 ("+shim.Portable()+") - git.0123456789ab\n" {
		t.Errorf("%q", line)
	}
	version, commit = "", ""
	v, c := built()
	if v == "" || c == "" || strings.ContainsAny(v+c, "() ") || strings.HasPrefix(v, "v") {
		t.Errorf("version %q, commit %q", v, c)
	}
}
