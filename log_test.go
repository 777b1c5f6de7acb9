package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim"
)

func loggerOf(json, tini bool, verbosity int) *logger {
	s := &settings{verbosity: verbosity, json: json}
	s.Name = "cgshim"
	s.PID = 17
	if s.Tini = tini; tini {
		s.Name = "tini"
	}
	return &logger{settings: s}
}

// stderrOf returns what fn writes to descriptor 2.
func stderrOf(t *testing.T, fn func()) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "stderr")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	saved, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(saved)
	if err := unix.Dup3(int(file.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	fn()
	if err := unix.Dup3(saved, 2, 0); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var levelsByName = []struct {
	level      shim.Level
	name, tini string
}{
	{shim.LevelError, "error", "FATAL"},
	{shim.LevelWarn, "warn", "WARN "},
	{shim.LevelInfo, "info", "INFO "},
	{shim.LevelDebug, "debug", "DEBUG"},
	{shim.LevelTrace, "trace", "TRACE"},
}

func TestVerbosityShowsALevelAndTheOnesAbove(t *testing.T) {
	for verbosity := range 5 {
		l := loggerOf(false, false, verbosity)
		for _, level := range levelsByName {
			shown := int(level.level) <= verbosity
			if got := stderrOf(t, func() { l.Log(level.level, "message") }); (got != "") != shown {
				t.Errorf("verbosity %d, level %s: %q", verbosity, level.name, got)
			}
			for _, line := range []string{
				l.Line(level.level, "message"), l.ChildLine(level.level, "message"), l.Render(level.level, "message"), l.ChildRender(7, level.level, "message"),
			} {
				if (line != "") != shown || shown && !strings.HasSuffix(line, "message\n") {
					t.Errorf("verbosity %d, level %s: line %q", verbosity, level.name, line)
				}
			}
		}
		if got := stderrOf(t, func() { l.Notice("message") }); (got != "") != (verbosity >= 1) || got != "" && !strings.Contains(got, " info ") {
			t.Errorf("verbosity %d: a notice is %q", verbosity, got)
		}
	}
}

const stamp = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z` // UTC

func TestConsole(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("elsewhere", 3600)
	defer func() { time.Local = local }()
	for _, level := range levelsByName {
		l := loggerOf(false, false, 4)
		got := stderrOf(t, func() { l.Log(level.level, "message", "key", "value", "n", 1) })
		if !regexp.MustCompile(`^` + stamp + ` ` + level.name + ` cgshim message \{"key": "value", "n": 1\}\n$`).MatchString(got) {
			t.Errorf("%q", got)
		}
	}
}

func TestTinisPrefix(t *testing.T) {
	for _, level := range levelsByName {
		l := loggerOf(false, true, 4)
		for name, c := range map[string]struct{ pid, got string }{
			"what is logged":                     {"17", stderrOf(t, func() { l.Log(level.level, "message") })},
			"what is rendered":                   {"17", l.Render(level.level, "message")},
			"a line of PID 1":                    {"17", l.Line(level.level, "message")},
			"what tini's child says":             {"7", l.ChildRender(7, level.level, "message")},
			"a line of tini's child, by a mark ": {shim.SlotPID.Mark(), l.ChildLine(level.level, "message")},
		} {
			if want := "[" + level.tini + " tini (" + c.pid + ")] message\n"; c.got != want {
				t.Errorf("%s: %q, want %q", name, c.got, want)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	l := loggerOf(true, false, 4)
	for _, level := range levelsByName {
		got := stderrOf(t, func() {
			l.Log(level.level, `a "message"`, "string", "a\nb", "int", -3, "uint64", uint64(1<<63), "bool", true, "no", false,
				"duration", 90*time.Second, "error", errors.New("an error"), "stringer", shim.Signal(15), "list", []string{"a", "b"})
		})
		var line map[string]any
		if err := json.Unmarshal([]byte(got), &line); err != nil || strings.Count(got, "\n") != 1 {
			t.Fatalf("%v in %q", err, got)
		}
		if !regexp.MustCompile(`^` + stamp + `$`).MatchString(line["ts"].(string)) {
			t.Errorf("ts is %v", line["ts"])
		}
		delete(line, "ts")
		want := map[string]any{
			"level": level.name, "logger": "cgshim", "msg": `a "message"`, "string": "a\nb", "int": -3.0, "uint64": "9223372036854775808", "bool": true,
			"no": false, "duration": "1m30s", "error": "an error", "stringer": "terminated", "list": []any{"a", "b"},
		}
		if fmt.Sprint(line) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", line, want)
		}
	}
}

// slots are those of shim, which marks with their letters.
const slots = "abcdefghijkl"

// A line that was rendered before the program started reads like a line that is logged
// at once. Package shim tests what PID 1 makes of the marks.
func TestLineIsWhatLogWrites(t *testing.T) {
	facts := func(value func(shim.Slot) any) (list []any) {
		for _, slot := range slots[1:] {
			list = append(list, "key"+string(slot), value(shim.Slot(slot)))
		}
		return append(list, "fixed", "text \\u0000b", "timeout", 90*time.Second)
	}
	known := func(slot shim.Slot) any { return "value " + string(rune(slot)) }
	for _, json := range []bool{false, true} {
		for _, tini := range []bool{false, true} {
			for _, level := range levelsByName {
				t.Run(fmt.Sprintf("json %v, tini %v, %s", json, tini, level.name), func(t *testing.T) {
					l := loggerOf(json, tini, 4)
					logged := stderrOf(t, func() { l.Log(level.level, "message of value b", facts(known)...) })
					line := l.Line(level.level, "message of "+shim.SlotPID.Mark(), facts(func(slot shim.Slot) any { return slot })...)
					at := regexp.MustCompile(stamp).FindString(logged)
					for _, nul := range []string{"\x00", `\u0000`} {
						line = strings.Replace(line, nul+"a", at, 1)
						line = strings.Replace(line, nul+shim.MarkName[1:], l.settings.Name, 1)
						for _, slot := range slots[1:] {
							line = strings.ReplaceAll(strings.ReplaceAll(line, `\`+nul, "KEPT"), nul+string(slot), "value "+string(slot))
							line = strings.ReplaceAll(line, "KEPT", `\`+nul)
						}
					}
					if line != logged {
						t.Errorf("line   %q\nlogged %q", line, logged)
					}
					if rendered := l.Render(level.level, "message of value b", facts(known)...); steadyTime(rendered) != steadyTime(logged) {
						t.Errorf("rendered %q\nlogged   %q", rendered, logged)
					}
				})
			}
		}
	}
}

func steadyTime(line string) string { return regexp.MustCompile(stamp).ReplaceAllString(line, "TIME") }
