package e2e

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// table collects the result of every scenario under every entry point.
type table struct {
	Rows []*row
	Seen string // versions of the kernel and the programs
}

type row struct {
	Name  string
	Cells map[string]string // by entry point, each "" or the failure
}

var rows table

func (t *table) row(name string) *row {
	for _, r := range t.Rows {
		if r.Name == name {
			return r
		}
	}
	r := &row{name, map[string]string{}}
	t.Rows = append(t.Rows, r)
	return r
}

// check runs one scenario under one entry point and prints the result. A failure under
// cgshim fails the test. A failure under a peer is only a finding.
func (t *table) check(tb testing.TB, name string, under variant, f func() error) {
	tb.Helper()
	began := time.Now()
	err := guarded(f)
	verdict, why := "PASS", ""
	cells := t.row(name).Cells
	if err != nil {
		verdict, why = "FAIL", ": "+err.Error()
		cells[under.name] = oneLine(err)
	} else if _, failed := cells[under.name]; !failed {
		cells[under.name] = ""
	}
	fmt.Printf("%s %-10s %-60s %5.1f s%s\n", verdict, under.name, name, time.Since(began).Seconds(), why)
	if err != nil && under.name == ours.name {
		tb.Errorf("%s: %v", name, err)
	}
}

// guarded turns a panic into an error, because the odd state that a peer leaves must not end
// the run.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

// publish prints the table, and writes it into the file that CGSHIM_E2E_DOC names.
func (t *table) publish() error {
	name := os.Getenv("CGSHIM_E2E_DOC")
	if fmt.Printf("\n%s", t.text()); name == "" {
		return nil
	}
	return os.WriteFile(name, []byte(docHead+t.markdown()), 0o644)
}

func (t *table) text() string {
	var b strings.Builder
	line := func(name string, word func(variant) string) {
		fmt.Fprintf(&b, "%-82s", name)
		for _, v := range variants {
			fmt.Fprintf(&b, " %-8s", word(v))
		}
		b.WriteString("\n")
	}
	line("", func(v variant) string { return v.name })
	for _, r := range t.Rows {
		line(r.Name, func(v variant) string {
			switch why, asked := r.Cells[v.name]; {
			case !asked:
				return "-"
			case why != "":
				return "FAIL"
			default:
				return "pass"
			}
		})
	}
	return b.String()
}

func (t *table) markdown() string {
	var b strings.Builder
	b.WriteString("| scenario |")
	for _, v := range variants {
		b.WriteString(" " + v.name + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(variants)) + "\n")
	var notes []string
	for _, r := range t.Rows {
		b.WriteString("| " + r.Name + " |")
		for _, v := range variants {
			word := "pass"
			if why, asked := r.Cells[v.name]; !asked {
				word = "-"
			} else if why != "" {
				notes = append(notes, fmt.Sprintf("%s, %s: %s", v.name, r.Name, why))
				word = fmt.Sprintf("**fail** (%d)", len(notes))
			}
			b.WriteString(" " + word + " |")
		}
		b.WriteString("\n")
	}
	if len(notes) > 0 {
		b.WriteString("\nWhat failed, and how:\n\n")
		for i, note := range notes {
			fmt.Fprintf(&b, "%d. %s\n", i+1, note)
		}
	}
	fmt.Fprintf(&b, "\nSeen with %s.\n", t.Seen)
	return b.String()
}

// oneLine returns an error as one line for the table. It cuts identifiers to the 12 digits
// that docker shows.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	text = longID.ReplaceAllString(text, "$1")
	if len(text) > 300 {
		text = text[:300] + " ..."
	}
	return "`" + strings.ReplaceAll(text, "`", "'") + "`"
}

const docHead = `# Runs of a real dockerd in a container

Made by ` + "`CGSHIM_E2E_DOC=$PWD/docs/e2e.md make test-e2e`" + `; do not edit.

Each scenario ran with a real dockerd in a privileged container of another dockerd,
on a Debian cloud kernel with cgroup v2. The test looks at the cgroups from the root of the
machine's hierarchy.
The columns are what the container's entry point was:

- **cgshim**: ` + "`cgshim --dind -- dockerd`" + `
- **dind**: tini, then the steps of moby's hack/dind
- **unshare**: tini, then ` + "`unshare --cgroup`" + `, a new mount of cgroup2 and the same
  loop, which is what envbox does

"private" and "host" are the container's ` + "`--cgroupns`" + `. A dash means that the case
was not run.

`

func versions() string {
	var found []string
	for _, cmd := range [][]string{{"uname", "-r"}, {"dockerd", "--version"}, {"containerd", "--version"}, {"runc", "--version"}, {"crun", "--version"}} {
		if out, err := run(cmd[0], cmd[1:]...); err == nil {
			line, _, _ := strings.Cut(out, "\n")
			if cmd[0] == "uname" {
				line = "Linux " + line
			}
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, ", ")
}
