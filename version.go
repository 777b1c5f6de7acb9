package main

import (
	"cmp"
	"runtime/debug"
	"strings"
)

// The linker sets these (see the Makefile).
var version, commit string

// built returns the version and the commit. The version is the tag without its v, and
// the commit is its name in git. If the linker has set neither, as with `go install
// github.com/cgshim/cgshim@v1.2.3`, Go has recorded them.
func built() (string, string) {
	recorded, revision := "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		recorded = strings.TrimPrefix(strings.Trim(info.Main.Version, "()"), "v")
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				revision = setting.Value[:min(12, len(setting.Value))]
			}
		}
	}
	return cmp.Or(version, recorded, "devel"), cmp.Or(commit, revision, "unknown")
}
