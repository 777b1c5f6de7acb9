package main

import (
	_ "embed"
	"strings"

	"github.com/cgshim/cgshim/shim"
)

//go:embed LICENSE
var license string

// notices has the licences of the modules that are linked in (tools/notices).
//
//go:embed NOTICE
var notices string

// licenses is the answer to --license. Under tini's names it is the licence alone, because
// tini's tests compare it with the file LICENSE.
func licenses(s *settings) string {
	if s.Tini {
		return license
	}
	return license + "\n" + notices
}

// tiniVersion is the version of tini whose command line and behaviour cgshim keeps.
const tiniVersion = "0.19.0"

// versionLine is the answer to --version, in a form that dockerd can parse. dockerd calls
// `docker-init --version` and takes "tini version X" or any line that ends in " - git.SHA"
// (moby, daemon/info_unix.go, parseInitVersion).
func versionLine(s *settings) string {
	version, commit := built()
	if s.Tini {
		return "tini version " + tiniVersion + "_cgshim - git." + commit + "\n"
	}
	build := ""
	if portable := shim.Portable(); portable != "" {
		build = " (" + portable + ")"
	}
	return "cgshim version " + version + build + " - git." + commit + "\n"
}

// usage is the text of --help, from the table of options.
func usage(s *settings) string {
	var b strings.Builder
	name := s.Name
	if s.Tini {
		b.WriteString(name + " (tini version " + tiniVersion + ")\n")
	}
	b.WriteString("Usage: " + name + " [OPTIONS] [--] PROGRAM [ARGS...]\n" +
		"       " + name + " --check [--json]\n" +
		"       " + name + " --pause\n\n" +
		"The PID 1 of a container that runs containers. It delegates the container's\n" +
		"cgroup, starts PROGRAM, forwards signals, reaps orphans, and exits with the\n" +
		"status of PROGRAM.\n\n")
	if s.Tini {
		b.WriteString("Called as " + name + " it keeps tini's defaults: --cgroup=off, a subreaper only with -s,\n" +
			"TINI_VERBOSITY=1, and tini's options are taken from anywhere before a --.\n\n")
	}
	for _, o := range options() {
		left := "      --" + o.long
		if o.short != "" {
			left = "  -" + o.short + ", --" + o.long
		}
		if o.arg != "" {
			left += "=" + o.arg
		}
		b.WriteString(left)
		b.WriteString(strings.Repeat(" ", max(1, 32-len(left))))
		b.WriteString(o.help)
		if o.arg != "" && o.initial != "none" {
			b.WriteString(" (" + o.initial + ")")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nVariables (a flag beats its variable, but TINI_VERBOSITY beats -v):\n ")
	column := 1
	for _, o := range append(options(), option{env: "CGSHIM_LOG_FORMAT"}) {
		if o.env == "" {
			continue
		}
		if column+len(o.env)+1 > 78 {
			b.WriteString("\n ")
			column = 1
		}
		b.WriteString(" " + o.env)
		column += len(o.env) + 1
	}
	b.WriteString("\n\nExit status: PROGRAM's; 128+n if signal n ended it; 127 not found; 126 not\n" +
		"executable; 125 --cgroup=require not met; 1 usage or internal error.\n")
	return b.String()
}
