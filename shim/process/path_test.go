package process

import (
	"slices"
	"testing"
)

func TestSearchPathIsExecvps(t *testing.T) {
	for _, c := range []struct {
		name, program string
		env, want     []string
	}{
		{"a name with a slash is not searched", "./x", []string{"PATH=/a:/b"}, []string{"./x"}},
		{"every element in order", "x", []string{"PATH=/a:/b"}, []string{"/a/x", "/b/x"}},
		{"a relative element", "x", []string{"PATH=bin:/b"}, []string{"bin/x", "/b/x"}},
		{"an empty element is the working directory", "x", []string{"PATH=/a::/b"}, []string{"/a/x", "x", "/b/x"}},
		{"an empty PATH too", "x", []string{"PATH="}, []string{"x"}},
		{"without PATH glibc's default", "x", nil, []string{"/bin/x", "/usr/bin/x"}},
		{"the first of two PATHs counts", "x", []string{"PATH=/a", "PATH=/b"}, []string{"/a/x"}},
		{"a variable that only begins with PATH", "x", []string{"PATHS=/a"}, []string{"/bin/x", "/usr/bin/x"}},
		{"an empty name is not searched", "", []string{"PATH=/a"}, []string{""}},
	} {
		if got := SearchPath(c.program, c.env); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
