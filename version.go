package main

import (
	"cmp"
	"runtime/debug"
	"strings"
)

// The linker sets these (see the Makefile).
var version, commit string

// built returns the version, which is the tag without its v, and the name of the commit.
// If the linker has not set them, as with a plain `CGO_ENABLED=0 go build`, built returns the
// values that Go has recorded.
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
