package e2e

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// table collects what every scenario came to under every init.
type table struct {
	names []string
	cells map[string]map[string]cell
}

type cell struct {
	err  error
	took time.Duration
}

var rows = &table{cells: map[string]map[string]cell{}}

// check runs one scenario against one init and says what came of it. Under cgshim
// a failure is the run's; under a peer it is a finding.
func (r *table) check(t *testing.T, name string, under variant, f func() error) bool {
	t.Helper()
	began := time.Now()
	err := guarded(f)
	if r.cells[name] == nil {
		r.names = append(r.names, name)
		r.cells[name] = map[string]cell{}
	}
	c := cell{err, time.Since(began)}
	if before, ok := r.cells[name][under.name]; ok && before.err != nil {
		c.err = before.err // a scenario of several parts passes with all of them
	}
	r.cells[name][under.name] = c
	verdict, why := "PASS", ""
	if err != nil {
		verdict, why = "FAIL", ": "+err.Error()
	}
	fmt.Printf("%s %-10s %-60s %5.1f s%s\n", verdict, under.name, name, c.took.Seconds(), why)
	if err != nil && under.name == ours.name {
		t.Errorf("%s: %v", name, err)
	}
	return err == nil
}

// guarded keeps a peer's odd state from ending the run by a panic.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return f()
}

func (r *table) passed() bool {
	for _, cells := range r.cells {
		if c, ok := cells[ours.name]; ok && c.err != nil {
			return false
		}
	}
	return true
}

func (r *table) word(name string, v variant) string {
	switch c, ok := r.cells[name][v.name]; {
	case !ok:
		return "-"
	case c.err != nil:
		return "FAIL"
	default:
		return "pass"
	}
}

func (r *table) text() string {
	var b strings.Builder
	line := func(name string, cells []string) { fmt.Fprintf(&b, "%-72s %s\n", name, strings.Join(cells, " ")) }
	var heads []string
	for _, v := range variants {
		heads = append(heads, fmt.Sprintf("%-12s", v.name))
	}
	line("", heads)
	for _, name := range r.names {
		var cells []string
		for _, v := range variants {
			cells = append(cells, fmt.Sprintf("%-12s", r.word(name, v)))
		}
		line(name, cells)
	}
	return b.String()
}

// What the document is between on the console.
const (
	docBegin = "e2e: begin of the document"
	docEnd   = "e2e: end of the document"
)

func (r *table) markdown() string {
	var b strings.Builder
	b.WriteString("| scenario |")
	for _, v := range variants {
		b.WriteString(" " + v.name + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(variants)) + "\n")
	var notes []string
	for _, name := range r.names {
		b.WriteString("| " + name + " |")
		for _, v := range variants {
			word := r.word(name, v)
			if err := r.cells[name][v.name].err; err != nil {
				notes = append(notes, fmt.Sprintf("%s, %s: %s", v.name, name, oneLine(err)))
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
	fmt.Fprintf(&b, "\nSeen with %s.\n", strings.Join(versions(), ", "))
	return b.String()
}

// oneLine is an error as a table can hold it, with identifiers cut to what docker
// shows of them.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	text = longID.ReplaceAllString(text, "$1")
	if len(text) > 300 {
		text = text[:300] + " ..."
	}
	return "`" + strings.ReplaceAll(text, "`", "'") + "`"
}

// writeDoc puts the table of a complete run that passed into the file that
// CGSHIM_E2E_DOC names.
func writeDoc(console string) error {
	name := os.Getenv("CGSHIM_E2E_DOC")
	if name == "" {
		return nil
	}
	_, rest, found := strings.Cut(console, docBegin+"\n")
	body, _, ended := strings.Cut(rest, docEnd)
	if !found || !ended {
		return fmt.Errorf("no table on the console for %s", name)
	}
	return os.WriteFile(name, []byte(docHead+body), 0o644)
}

const docHead = `# dockerd in a container: who passes what

Made by ` + "`CGSHIM_E2E_DOC=docs/e2e.md make test-e2e`" + `; do not edit.

Each scenario ran with a real dockerd in a privileged container of another dockerd,
on a Debian cloud kernel with cgroup v2, looked at from that machine's top level.
The columns are what the container's entry point was:

- **cgshim**: ` + "`cgshim --dind -- dockerd`" + `
- **dind**: tini, then the steps of moby's hack/dind
- **unshare**: tini, then ` + "`unshare --cgroup`" + `, a new mount of cgroup2 and the same
  loop, which is what envbox does

"private" and "host" are the container's ` + "`--cgroupns`" + `. A dash: not asked of it.

`

func versions() []string {
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
	return slices.Compact(found)
}

// syncBuffer is a program's output while it still runs.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
