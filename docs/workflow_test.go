package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The jobs of ci.yml together run each target of `make check` once.
func TestJobsRunEveryCheck(t *testing.T) {
	read := func(name, pattern string) (targets []string) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(data), -1) {
			// test-vm+release runs two targets side by side.
			targets = append(targets, strings.Fields(strings.ReplaceAll(found[1], "+", " "))...)
		}
		slices.Sort(targets)
		return targets
	}
	want := read("../Makefile", `(?m)^CHECKS := (.*)$`)
	got := read("../.github/workflows/ci.yml", `checks: ([^}]+)}`)
	if len(want) < 5 || !slices.Equal(got, want) {
		t.Errorf("the jobs run %q, make check %q", got, want)
	}
}
