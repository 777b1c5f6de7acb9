package main

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/cgshim/cgshim/internal/golden"
)

// The man page and docs/options.md have the options of options.go.
func TestManPage(t *testing.T) {
	generated := func(page, begin, end, text string) {
		t.Helper()
		golden.Section(t, page, begin, end, text, "options.go", "go test . -run TestManPage -update")
	}
	generated("docs/cgshim.8", ".\\\" BEGIN OPTIONS\n", ".\\\" END OPTIONS\n", manOptions())
	generated("docs/cgshim.8", ".\\\" BEGIN VARIABLES\n", ".\\\" END VARIABLES\n", manVariables())
	generated("docs/options.md", "<!-- begin options -->\n", "<!-- end options -->\n", markdownOptions())
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
		b.WriteString("\n" + manText(o.full))
		if hasDefault(o) {
			b.WriteString("The default is\n.Cm " + o.initial + " .\n")
		}
		if o.env != "" {
			b.WriteString(".Pq Ev " + o.env + "\n")
		}
	}
	return b.String()
}

// hasDefault reports whether a page names the default. Without it a switch is off.
func hasDefault(o option) bool {
	return o.initial != "none" && o.initial != "off" && o.initial != ""
}

func manVariables() string {
	var b strings.Builder
	for _, o := range options() {
		if o.env != "" {
			b.WriteString(".It Ev " + o.env + "\nSee\n.Fl -" + o.long + " .\n")
		}
	}
	return b.String()
}

var (
	argument = regexp.MustCompile(`\b(SIG|SRC|DST|CODE|DUR|NAME|VALUE|N)\b`)
	literal  = regexp.MustCompile("`([^`]*)`")
	manEnd   = regexp.MustCompile(`([.]) ([A-Z` + "`" + `c])`) // the end of a sentence; each sentence begins a line
)

// manText is a description in mdoc(7). No sentence begins with a dot or a quote, which
// would make it a request.
func manText(full string) string {
	full = strings.ReplaceAll(full, `\`, `\e`)
	full = manEnd.ReplaceAllString(full, "$1\n$2")
	full = literal.ReplaceAllStringFunc(full, func(s string) string {
		return `\fB` + strings.ReplaceAll(strings.Trim(s, "`"), "-", `\-`) + `\fR`
	})
	full = strings.ReplaceAll(full, "PROGRAM", `\fIprogram\fR`)
	return argument.ReplaceAllString(full, `\fI$0\fR`) + "\n"
}

func markdownOptions() string {
	var b strings.Builder
	for _, o := range options() {
		b.WriteString("## `--" + o.long)
		if o.arg != "" {
			b.WriteString("=" + o.arg)
		}
		b.WriteString("`\n\n")
		var facts []string
		if o.short != "" {
			facts = append(facts, "Short form `-"+o.short+"`")
		}
		if hasDefault(o) {
			facts = append(facts, "default `"+o.initial+"`")
		}
		if o.env != "" {
			facts = append(facts, "variable `"+o.env+"`")
		}
		if len(facts) > 0 {
			line := strings.Join(facts, ", ") + "."
			b.WriteString(strings.ToUpper(line[:1]) + line[1:] + "\n\n")
		}
		b.WriteString(fill(o.full, 92) + "\n\n")
	}
	return b.String()
}

// fill breaks text into lines of at most width bytes.
func fill(text string, width int) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column == 0:
		case column+1+len(word) > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

// A row's default is what the program does without the option.
func TestDefaults(t *testing.T) {
	for _, o := range options() {
		switch {
		case o.initial == "" || o.initial == "none" || o.long == "verbose":
			continue
		case o.long == "cgroup": // auto by name acts in more processes than auto by default
			continue
		}
		want, err := parseOptions([]string{"cgshim", "x"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseOptions([]string{"cgshim", "--" + o.long + "=" + o.initial, "x"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("--%s=%s is not the default: %+v, not %+v", o.long, o.initial, got, want)
		}
	}
}

// Each row has a line of help that fits, and whole sentences for the man page.
func TestOptionTexts(t *testing.T) {
	for _, o := range options() {
		if o.help == "" || strings.HasSuffix(o.help, ".") || !strings.HasSuffix(o.full, ".") || strings.Count(o.full, "`")%2 != 0 {
			t.Errorf("--%s: %q, %q", o.long, o.help, o.full)
		}
		if o.arg != "" && o.initial == "" {
			t.Errorf("--%s takes a value and names no default", o.long)
		}
	}
}
