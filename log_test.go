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
			if line := l.Line(level.level, "message"); (line != nil) != shown {
				t.Errorf("verbosity %d, level %s: line %v", verbosity, level.name, line)
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
		want := fmt.Sprintf("[%s tini (%d)] message\n", level.tini, os.Getpid())
		if got := stderrOf(t, func() { l.Log(level.level, "message") }); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := l.Render(level.level, "message"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		l.pid = 12
		want = fmt.Sprintf("[%s tini (12)] message\n", level.tini)
		if got := l.Render(level.level, "message"); got != want {
			t.Errorf("%q, want %q", got, want)
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

// A line that was rendered before the program started reads like a line that is logged
// at once.
func TestLineIsWhatLogWrites(t *testing.T) {
	facts := func(values map[shim.Slot]any) (list []any) {
		for _, slot := range []shim.Slot{
			shim.SlotPID, shim.SlotSignal, shim.SlotSignalText, shim.SlotReceived, shim.SlotFromPID, shim.SlotFromUID, shim.SlotStatus,
			shim.SlotElapsed, shim.SlotErrno, shim.SlotStrerror, shim.SlotKills, shim.SlotCore,
		} {
			var value any = slot
			if values != nil {
				value = values[slot]
			}
			list = append(list, fmt.Sprintf("key%d", slot), value)
		}
		return append(list, "fixed", "text", "timeout", 90*time.Second)
	}
	values := map[shim.Slot]any{
		shim.SlotPID: 4194304, shim.SlotSignal: "SIGRTMIN+3", shim.SlotSignalText: "Real-time signal 3", shim.SlotReceived: "SIGTERM",
		shim.SlotFromPID: 0, shim.SlotFromUID: 65534, shim.SlotStatus: 137, shim.SlotElapsed: "1.250s", shim.SlotErrno: unix.EPERM, shim.SlotStrerror: "Operation not permitted",
		shim.SlotKills: 2, shim.SlotCore: true,
	}
	for _, json := range []bool{false, true} {
		for _, tini := range []bool{false, true} {
			for _, level := range levelsByName {
				t.Run(fmt.Sprintf("json %v, tini %v, %s", json, tini, level.name), func(t *testing.T) {
					l := loggerOf(json, tini, 4)
					message := "message of " + shim.SlotPID.Text()
					logged := stderrOf(t, func() {
						l.Log(level.level, strings.ReplaceAll(message, shim.SlotPID.Text(), "4194304"), facts(values)...)
					})
					line := string(l.render(markTime, level.level, message, facts(nil)))
					for slot, value := range values {
						line = strings.ReplaceAll(line, slot.Text(), fmt.Sprint(value))
						line = strings.ReplaceAll(line, fmt.Sprint(slot.Number()), fmt.Sprint(value))
					}
					at := regexp.MustCompile(stamp).FindString(logged)
					if line = strings.Replace(line, shim.SlotTime.Text(), at, 1); line != logged {
						t.Errorf("line   %q\nlogged %q", line, logged)
					}
				})
			}
		}
	}
}
