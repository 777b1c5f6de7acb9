package main

import (
	"cmp"
	"runtime/debug"
	"strings"
)

// Set by the linker, in the Makefile.
var version, commit string

// built is the version and the commit: the tag without its v, and git's name of it. Where
// the linker was told neither, as by `go install github.com/cgshim/cgshim@v1.2.3`, Go has
// recorded them.
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
