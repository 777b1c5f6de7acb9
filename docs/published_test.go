// Package docs checks the documents.
package docs

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// claims find what only exists if somebody has published it. If a pattern has a group, the name is
// the text of the group.
var claims = []struct {
	what, prefix string
	pattern      *regexp.Regexp
}{
	{"an address", "", regexp.MustCompile(`[a-z]+://[\w.-]+/[^\s"'` + "`" + `)]*cgshim[^\s"'` + "`" + `)]*`)},
	{"a registry", "", regexp.MustCompile(`(?:^|[^\w./-])((?:ghcr\.io|docker\.io|quay\.io|public\.ecr\.aws|[\w-]+\.pkg\.dev)/[^\s"'` + "`" + `)]*(?:cgshim|dind)[^\s"'` + "`" + `)]*)`)},
	{"a registry", "", regexp.MustCompile(`(?:FROM |--from=|image: |Image: |REGISTRY=)"?((?:[\w-]+(?:\.[\w-]+)+/)?cgshim/[\w.:/-]+)`)},
	{"a module on a proxy", "", regexp.MustCompile(`go (?:get|install) (github\.com/cgshim/[^\s"'` + "`" + `)]*)`)},
	{"a release of the module", "", regexp.MustCompile(`(github\.com/cgshim/cgshim[\w./-]*[@ ]v[1-9][\w.-]*|github\.com/cgshim/cgshim[\w./-]*[@ ]v0\.(?:[1-9]\d*\.\d+|0\.[1-9]\d*)[\w.-]*)`)},
	{"a team or a user", "", regexp.MustCompile(`(?:^|[\s"'` + "`" + `(])(@cgshim(?:/[\w-]+)?)\b`)},
	{"a contact", "", regexp.MustCompile(`[\w.+-]*cgshim[\w.+-]*@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}|cgshim[^<>\n]*<([\w.+-]+@[\w.-]+)>`)},
	{"a release", "release ", regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\]`)},
}

// claimed returns the names in a text that need a line in published.txt. registry.example and
// the other reserved names (RFC 2606) exist nowhere, so they claim nothing.
func claimed(text string) (names []string) {
	for _, c := range claims {
		for _, found := range c.pattern.FindAllStringSubmatch(text, -1) {
			name := found[0]
			if len(found) > 1 && found[1] != "" {
				name = found[1]
			}
			if !reserved.MatchString(name) {
				names = append(names, c.prefix+strings.TrimRight(name, ".,;:"))
			}
		}
	}
	return names
}

var reserved = regexp.MustCompile(`^(?:[a-z]+://)?(?:[\w-]+\.)*(?:example|invalid|test)(?:[/:]|$)|@(?:[\w-]+\.)*example$`)

func TestNothingUnpublishedIsNamed(t *testing.T) {
	published := lines(t, "published.txt")
	files := 0
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "bin", "dist", ".cache", "fuzz"}, entry.Name()) {
			return fs.SkipDir
		}
		if !entry.Type().IsRegular() || slices.Contains([]string{"published_test.go"}, entry.Name()) {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil || bytes.IndexByte(data, 0) >= 0 {
			return err
		}
		files++
		for _, claim := range claimed(string(data)) {
			if !slices.Contains(published, claim) {
				t.Errorf("%s names %q, which docs/published.txt does not list", name, claim)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
}

// lines returns the lines of a file that are no comments.
func lines(t *testing.T, name string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

func TestClaims(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // "" if the text claims nothing
	}{
		{"COPY --from=ghcr.io/cgshim/cgshim /cgshim /cgshim", "ghcr.io/cgshim/cgshim"},
		{"image: ghcr.io/someone/dind:1", "ghcr.io/someone/dind:1"},
		{"FROM cgshim/dind", "cgshim/dind"},
		{"url: https://github.com/cgshim/cgshim/security", "https://github.com/cgshim/cgshim/security"},
		{"go get github.com/cgshim/cgshim/cgroup", "github.com/cgshim/cgshim/cgroup"},
		{"require github.com/cgshim/cgshim v0.1.0", "github.com/cgshim/cgshim v0.1.0"},
		{"/shim/ @cgshim/runtime", "@cgshim/runtime"},
		{"cgshim maintainers <cgshim@users.noreply.github.com>", "cgshim@users.noreply.github.com"},
		{"## [0.1.0] - 2026-11-25", "release 0.1.0"},
		{"import \"github.com/cgshim/cgshim/cgroup\"", ""},
		{"-E github.com/cgshim/cgshim/shim/pid1.entry", ""},
		{"github.com/cgshim/cgshim v0.0.0-00010101000000-000000000000", ""},
		{"image: registry.example/cgshim-dind:1", ""},
		{"COPY --from=cgshim /cgshim /cgshim", ""},
		{"image: docker:dind", ""},
		{"image: ghcr.io/actions/actions-runner:latest", ""},
		{"## [Unreleased]", ""},
	} {
		got := claimed(c.text)
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}
