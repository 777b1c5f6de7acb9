package builds

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cgshim/cgshim/test/internal/lab"
)

// What differs between two runs, or by what the portable build cannot know: times, the
// numbers of processes and namespaces, and who sent a signal.
var varying = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`("?(?:from_)?pid"?[:=] ?'?)\d+`), "${1}PID"},
	{regexp.MustCompile(`(pid (?:namespace )? +)\d+`), "${1}PID"},
	{regexp.MustCompile(`(with pid[:=]? ?'?)\d+`), "${1}PID"},
	{regexp.MustCompile(`( tini \()([2-9]|\d\d+)\)`), "${1}PID)"}, // the child, where the init is PID 1
	{regexp.MustCompile(`\b40265\d{5}\b`), "NAMESPACE"},
	{regexp.MustCompile(`("elapsed": ?)"?[0-9.]+s"?`), "${1}TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`), "TIME"},
	{regexp.MustCompile(` \(portable build\)`), ""},
}

func steady(text string) string {
	for _, v := range varying {
		text = v.pattern.ReplaceAllString(text, v.text)
	}
	return text
}

// The portable build writes what the native one writes, to the last byte.
func TestPortableWritesWhatNativeWrites(t *testing.T) {
	lab.Root(t)
	if !native {
		t.Skip("this port has no other build")
	}
	whole := build{}.make(t)
	portable := build{}.make(t, "ENTRY_"+runtime.GOARCH+"=")
	dir := t.TempDir()
	text, ready := filepath.Join(dir, "text"), filepath.Join(dir, "ready")
	if err := os.WriteFile(text, []byte("no program\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const wait = "; while :; do sleep 0.02; done"
	sh := func(script string, options ...string) []string { return append(options, "--", "sh", "-c", script) }
	for _, c := range []struct {
		name, as string // as: argv[0]; "": the file
		args     []string
		env      string
		status   int
		says     string // part of what is written, so that two empty outputs are not the same
	}{
		{name: "not found", args: []string{"--", "no-such-program"}, status: 127, says: "not found"},
		{name: "not found in a directory", args: []string{"--", "/nowhere/program"}, status: 127, says: "/nowhere"},
		{name: "a directory", args: []string{"--", "/"}, status: 126, says: "directory"},
		{name: "not executable", args: []string{"--", "/etc/passwd"}, status: 126, says: "permission denied"},
		{name: "a script without #!", args: []string{"--", text}, status: 127, says: "no: "},
		{name: "not found, as tini", as: "tini", args: []string{"-vvv", "--", "no-such-program"}, status: 127, says: "exec no-such-program failed"},
		{name: "not found, by --exec", args: []string{"-x", "--", "no-such-program"}, status: 127, says: "not found"},
		{name: "a status", args: sh("exit 7", "-vvv"), status: 7, says: "child exited"},
		{name: "a status, as JSON", args: sh("exit 7", "-vvv", "--json"), status: 7, says: `"child exited"`},
		{name: "a status, as tini", as: "tini", args: sh("exit 7", "-vvv"), status: 7, says: "Main child exited normally"},
		{name: "an expected status", args: sh("exit 7", "-vvv", "-e", "7"), says: "child exited"},
		{name: "ended by a signal", args: sh("kill -KILL $$"), status: 137, says: "SIGKILL"},
		{name: "ended by a signal, as tini", as: "tini", args: sh("kill -KILL $$", "-vv"), status: 137, says: "Main child exited with signal"},
		{name: "a forwarded signal", args: sh("trap 'echo got; exit 5' USR1; kill -USR1 1"+wait, "-vvv"), status: 5, says: "forwarding signal"},
		{name: "a forwarded signal, as tini", as: "tini", args: sh("trap 'exit 5' USR1; kill -USR1 1"+wait, "-vv"), status: 5, says: "Spawned child"},
		{name: "a dropped signal", args: sh("kill -HUP 1; sleep 0.2", "-vvv", "-r", "HUP:0"), says: "signal not forwarded"},
		{name: "a rewritten signal", args: sh("trap 'exit 5' USR2; kill -TERM 1"+wait, "-vvv", "-r", "TERM:USR2"), status: 5, says: "SIGUSR2"},
		{name: "an orphan", args: sh("(true &); sleep 0.3", "-w"), says: "reaped orphan"},
		{name: "an orphan, as tini", as: "tini", args: sh("(true &); sleep 0.3", "-w", "-vvv"), says: "Reaped zombie"},
		{name: "the stop time-out", args: sh("trap '' TERM; kill -TERM 1"+wait, "--stop-timeout=200ms"), status: 137, says: "did not stop in time"},
		{name: "the drain", args: sh("sleep 100 & exit 4", "-vv", "--drain-timeout=5s"), status: 4, says: "draining"},
		{name: "the drain time-out", args: sh("rm -f "+ready+"; (trap '' TERM; touch "+ready+wait+") & while [ ! -e "+ready+" ]; do sleep 0.02; done; exit 4", "-vv", "--drain-timeout=200ms"), status: 4, says: "left after the drain"},
		{name: "--check", args: []string{"--check"}, status: 1, says: "verdict"},
		{name: "--check --json", args: []string{"--check", "--json"}, status: 1, says: `"verdict"`},
		{name: "--help", args: []string{"--help"}, says: "--cgroup"},
		{name: "--help, as tini", as: "tini", args: []string{"-h"}, says: "-s"},
		{name: "--version", args: []string{"--version"}, says: "cgshim version"},
		{name: "an unknown option", args: []string{"--frob"}, status: 1, says: "--frob"},
		{name: "a wrong value", args: []string{"--stop-timeout=soon", "--", "true"}, status: 1, says: "soon"},
		{name: "a wrong value, as tini", as: "tini", args: []string{"-p", "FOO", "--", "true"}, status: 1, says: "Not a valid option"},
		{name: "no program", status: 1, says: "no program"},
		{name: "a wrong variable", args: []string{"--", "true"}, env: "CGSHIM_STOP_TIMEOUT=soon", status: 1, says: "CGSHIM_STOP_TIMEOUT"},
		{name: "no delegation", args: []string{"-vvv", "--cgroup=off", "--", "true"}, says: "child exited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			type written struct {
				Stdout, Stderr string
				Status         int
			}
			start := func(bin string) (r written) {
				cmd := command(t, bin, []string{"CGSHIM_CGROUP=off", c.env}, c.args...)
				cmd.Args[0] = "cgshim"
				if c.as != "" {
					cmd.Args[0] = c.as
				}
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				r.Stdout, r.Stderr, r.Status = result(&out, &errs, cmd.Run())
				return r
			}
			want, got := start(whole), start(portable)
			if want.Status != c.status || !strings.Contains(want.Stdout+want.Stderr, c.says) {
				t.Errorf("status %d, want %d, and %q in\n%s%s", want.Status, c.status, c.says, want.Stdout, want.Stderr)
			}
			if c.name == "--version" && !strings.Contains(got.Stdout, " (portable build) ") {
				t.Errorf("--version does not say what the build lacks: %q", got.Stdout)
			}
			for _, r := range []*written{&want, &got} {
				r.Stdout, r.Stderr = steady(r.Stdout), steady(r.Stderr)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-native +portable)\n%s", diff)
			}
		})
	}
}
