package golden

import (
	"os"
	"testing"
)

// recorder is a test that notes its failure.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Fatalf(string, ...any) { r.failed = true; panic(r) }

func TestSection(t *testing.T) {
	const same = "head\n<begin>\ntext\n<end>\ntail\n"
	for name, c := range map[string]struct {
		content string
		update  bool
		fails   bool
		after   string
	}{
		"the same":             {content: same, after: same},
		"another text":         {content: "head\n<begin>\nold\n<end>\ntail\n", fails: true, after: "head\n<begin>\nold\n<end>\ntail\n"},
		"another text, update": {content: "head\n<begin>\nold\n<end>\ntail\n", update: true, after: same},
		"no end":               {content: "<begin>\ntext\n", fails: true, after: "<begin>\ntext\n"},
		"no begin, update":     {content: "text\n<end>\n", update: true, fails: true, after: "text\n<end>\n"},
	} {
		t.Run(name, func(t *testing.T) {
			file := t.TempDir() + "/page"
			if err := os.WriteFile(file, []byte(c.content), 0o644); err != nil {
				t.Fatal(err)
			}
			*update = c.update
			defer func() { *update = false }()
			r := recorder{TB: t}
			func() {
				defer func() {
					if p := recover(); p != nil && p != any(&r) {
						panic(p)
					}
				}()
				Section(&r, file, "<begin>\n", "<end>\n", "text\n", "the test", "go test")
			}()
			after, err := os.ReadFile(file)
			if r.failed != c.fails || err != nil || string(after) != c.after {
				t.Errorf("failed %v, want %v, content %q, %v", r.failed, c.fails, after, err)
			}
		})
	}
}

func TestMissingFileFails(t *testing.T) {
	r := recorder{TB: t}
	if File(&r, t.TempDir()+"/none", "", "the test", "go test"); !r.failed {
		t.Error("a file that does not exist is accepted")
	}
}
