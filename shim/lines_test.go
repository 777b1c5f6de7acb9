package shim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/cgshim/cgshim/shim/pid1"
)

// zapLog renders lines as the log of the binary does.
type zapLog struct {
	world
	json, tini bool
	name       string
}

func (l *zapLog) encode(name string, stamp zapcore.TimeEncoder, prefix, msg string, facts []any) string {
	config := zapcore.EncoderConfig{
		TimeKey: "ts", NameKey: "logger", MessageKey: "msg", EncodeTime: stamp, EncodeName: zapcore.FullNameEncoder,
		EncodeDuration: zapcore.StringDurationEncoder, ConsoleSeparator: " ",
	}
	encoder := zapcore.NewJSONEncoder(config)
	if l.tini && !l.json {
		config.TimeKey, config.NameKey, msg = "", "", prefix+msg
	}
	if !l.json {
		encoder = zapcore.NewConsoleEncoder(config)
	}
	var fields []zapcore.Field
	for i := 0; i < len(facts); i += 2 {
		field := zapcore.Field{Key: facts[i].(string), Type: zapcore.StringType, String: fmt.Sprint(facts[i+1])}
		switch fact := facts[i+1].(type) {
		case Slot:
			field.String = fact.Mark()
		case int:
			field.Type, field.Integer = zapcore.Int64Type, int64(fact)
		case bool:
			field.Type, field.Integer = zapcore.BoolType, map[bool]int64{true: 1}[fact]
		}
		fields = append(fields, field)
	}
	line, err := encoder.EncodeEntry(zapcore.Entry{Message: msg, LoggerName: name, Time: time.Unix(0, 0).UTC()}, fields)
	if err != nil {
		panic(err)
	}
	return line.String()
}

func markTime(_ time.Time, out zapcore.PrimitiveArrayEncoder) { out.AppendString(SlotTime.Mark()) }

func (l *zapLog) Line(_ Level, msg string, facts ...any) string {
	return l.encode(MarkName, markTime, "[tini (1)] ", msg, facts)
}

func (l *zapLog) ChildLine(_ Level, msg string) string {
	return l.encode(MarkName, markTime, "[tini ("+SlotPID.Mark()+")] ", msg, nil)
}

// known has a value for each slot. Those of numbers are numbers.
var known = map[Slot]any{
	SlotTime: "1970-01-01T00:00:00Z", pid1.SlotPID: 4194304, pid1.SlotSignal: "SIGRTMIN+3", pid1.SlotSignalText: "Real-time signal 3", pid1.SlotReceived: "SIGTERM",
	pid1.SlotFromPID: 17, pid1.SlotFromUID: 65534, pid1.SlotStatus: 137, pid1.SlotElapsed: "1.250s", pid1.SlotErrno: "no such process",
	pid1.SlotStrerror: "No such process", pid1.SlotCore: true,
}

// fill does what PID 1 does with a text of its orders.
func fill(template string) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		if template[i] != 0 {
			b.WriteByte(template[i])
			continue
		}
		i++
		value, ok := known[Slot(template[i])]
		if !ok {
			return fmt.Sprintf("no slot %q", template[i])
		}
		fmt.Fprint(&b, value)
	}
	return b.String()
}

// concrete returns a fact or a message with the values in the place of marks.
func (j *job) concrete(fact any) any {
	switch fact := fact.(type) {
	case Slot:
		return known[fact]
	case string:
		if fact == j.program() || fact == path.Base(j.program()) {
			return fact
		}
		fact = strings.ReplaceAll(fact, markProgram, j.program())
		for slot, value := range known {
			fact = strings.ReplaceAll(fact, slot.Mark(), fmt.Sprint(value))
		}
		return fact
	}
	return fact
}

// checkLines checks that each line which PID 1 writes is the line that would be logged if the
// values were known.
func checkLines(t *testing.T, j *job, l *zapLog) {
	t.Helper()
	lines := j.lines()
	if l.tini {
		lines = j.tiniLines()
	}
	for _, line := range lines {
		template := j.template(l.Line(line.level, line.msg, line.facts...))
		var facts []any
		for _, fact := range line.facts {
			facts = append(facts, j.concrete(fact))
		}
		want := l.encode(l.name, zapcore.RFC3339TimeEncoder, "[tini (1)] ", j.concrete(line.msg).(string), facts)
		sameLine(t, l.json, fill(template), want)
	}
	message := "exec " + markProgram + " failed: " + pid1.SlotStrerror.Mark()
	want := l.encode(l.name, zapcore.RFC3339TimeEncoder, "[tini (4194304)] ", j.concrete(message).(string), nil)
	sameLine(t, l.json, fill(j.template(l.ChildLine(LevelError, message))), want)
}

func sameLine(t *testing.T, isJSON bool, got, want string) {
	t.Helper()
	if !isJSON {
		if got != want {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
		return
	}
	var decodedGot, decodedWant map[string]any
	if err := json.Unmarshal([]byte(got), &decodedGot); err != nil {
		t.Errorf("%v in %q", err, got)
	}
	if err := json.Unmarshal([]byte(want), &decodedWant); err != nil {
		t.Errorf("%v in %q", err, want)
	}
	if !reflect.DeepEqual(decodedGot, decodedWant) || strings.Count(got, "\n") != 1 {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// hostile has texts that look like marks and escapes, or have to be escaped.
var hostile = []string{
	"program", "", "‹j›", "‹b›", "8070605040302010009", `\u0000b`, `\\u0000b`, `\x00b`, `\0b`, `"`, `\`, `\\`, `"\u0000b"`, `",\u0000b,"`, `\u0000`, `\u0000A`, `\u0000B`,
	"a\nb", "\x1b[2K", "<&>", "\u2028", "b", "%s%d", "\xff\xfe", "/bin/a b", "/x/\\u0000b", "u0000b", `'`, `{"pid": "\u0000b"}`, "\x7f\x01", "\u200b",
}

func eachLog(fn func(name string, l *zapLog)) {
	for _, asJSON := range []bool{false, true} {
		for _, tini := range []bool{false, true} {
			fn(fmt.Sprintf("json %v, tini %v", asJSON, tini), &zapLog{json: asJSON, tini: tini})
		}
	}
}

// Names are data. A name that looks like a mark comes through as it is.
func TestNamesAreData(t *testing.T) {
	eachLog(func(name string, l *zapLog) {
		for _, program := range hostile {
			for _, own := range []string{"cgshim", cmp.Or(program, "-")} {
				t.Run(fmt.Sprintf("%s, program %q, name %q", name, program, own), func(t *testing.T) {
					l.name = own
					j, _ := newJob(t, Config{Name: own, Tini: l.tini, Args: []string{program}, WarnOnReap: true})
					checkLines(t, j, l)
				})
			}
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, "cgshim")
		f.Add("/bin/program", text)
	}
	f.Fuzz(func(t *testing.T, program, own string) {
		if strings.Contains(program+own, "\x00") || own == "" {
			t.Skip("no argument can hold a NUL, and an own name is never empty")
		}
		eachLog(func(_ string, l *zapLog) {
			l.name = own
			j, _ := newJob(t, Config{Name: own, Tini: l.tini, Args: []string{program}, WarnOnReap: true})
			checkLines(t, j, l)
		})
	})
}

func TestTemplateOfEverySlot(t *testing.T) {
	j, _ := newJob(t, Config{Name: "cgshim", Args: []string{"/bin/program"}})
	for slot := range known {
		mark, value := slot.Mark(), fmt.Sprint(known[slot])
		quoted := value
		if !slot.Number() {
			quoted = `"` + value + `"`
		}
		for rendered, want := range map[string]string{
			"a " + mark + " b":                        "a " + value + " b",
			mark + mark:                               value + value,
			`{"k":"\u0000` + mark[1:] + `"}`:          `{"k":` + quoted + `}`,
			`{"k":"a \u0000` + mark[1:] + ` b"}`:      `{"k":"a ` + value + ` b"}`,
			`{"k":"\\u0000` + mark[1:] + `"}`:         `{"k":"\\u0000` + mark[1:] + `"}`,
			`{"k":"\\\u0000` + mark[1:] + `"}`:        `{"k":"\\` + value + `"}`,
			`{"k":"\"\u0000` + mark[1:] + `"}`:        `{"k":"\"` + value + `"}`,
			MarkName + " " + markProgram + ` \u0000A`: `cgshim /bin/program cgshim`,
		} {
			if slot.Number() && strings.Contains(rendered, `\"\u0000`) {
				continue // the encoder never writes that: a number is the whole value
			}
			if got := fill(j.template(rendered)); got != want {
				t.Errorf("%q became %q, want %q", rendered, got, want)
			}
		}
	}
	for _, text := range []string{"", "\x00", `\`, `\u0000`, `a\u000`} {
		if got := j.template(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// The texts of tini 0.19 from its src/tini.c, with the levels of its PRINT_ macros.
func TestTinisLines(t *testing.T) {
	const reaped, signaled = "debug Reaped child with pid: '4194304'\n", "info Main child exited with signal (with signal 'Real-time signal 3')\n"
	want := map[pid1.LineID]string{
		pid1.LineSpawned:  "info Spawned child process '/bin/program' with pid '4194304'\n",
		pid1.LineChild:    "debug Received SIGCHLD\n",
		pid1.LineForward:  "debug Passing signal: 'Real-time signal 3'\n",
		pid1.LineFailed:   "warn Child was dead when forwarding signal\n",
		pid1.LineUnsent:   "warn Unexpected error when forwarding signal: 'No such process'\n",
		pid1.LineLeft:     "trace No child to reap\n",
		pid1.LineNone:     "trace No child to wait\n",
		pid1.LineReaped:   reaped,
		pid1.LineMain:     reaped,
		pid1.LineExited:   "info Main child exited normally (with status '137')\n",
		pid1.LineSignaled: signaled,
		pid1.LineAbnormal: signaled,
		pid1.LineLeave:    "trace Exiting: child has exited\n",
		pid1.LineNoStart:  "error fork failed: No such process\n",
		pid1.LineZombie:   "warn Reaped zombie process with pid=4194304\n",
	}
	for _, warn := range []bool{false, true} {
		j, w := newJob(t, Config{Tini: true, Args: []string{"/bin/program", "x"}, WarnOnReap: warn})
		seen := map[pid1.LineID]bool{}
		for _, line := range j.tiniLines() {
			seen[line.id] = true
			text, ok := want[line.id]
			if got := fill(j.template(w.Line(line.level, line.msg, line.facts...))); ok && got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
		for id, text := range want {
			if seen[id] != (id != pid1.LineZombie || warn) {
				t.Errorf("%q is a line: %v", text, seen[id])
			}
		}
	}
}

func TestLines(t *testing.T) {
	texts := func(j *job, w *world) map[pid1.LineID]string {
		m := map[pid1.LineID]string{}
		for _, line := range j.lines() {
			m[line.id] = fill(j.template(w.Line(line.level, line.msg, line.facts...)))
		}
		return m
	}
	j, w := newJob(t, Config{Args: []string{"/bin/program"}, StopTimeout: 90 * time.Second, DrainTimeout: time.Second})
	got := texts(j, w)
	for id, want := range map[pid1.LineID]string{
		pid1.LineSpawned:     "info spawned child pid=4194304 program=/bin/program\n",
		pid1.LineForward:     "debug forwarding signal signal=SIGRTMIN+3 received=SIGTERM pid=4194304 from_pid=17 from_uid=65534\n",
		pid1.LineDrop:        "debug signal not forwarded signal=SIGTERM from_pid=17 from_uid=65534\n",
		pid1.LineFailed:      "warn cannot forward signal signal=SIGRTMIN+3 pid=4194304 err=no such process\n",
		pid1.LineReaped:      "debug reaped orphan pid=4194304 status=137\n",
		pid1.LineLate:        "warn child did not stop in time, killing it pid=4194304 timeout=1m30s\n",
		pid1.LineDrain:       "info draining timeout=1s\n",
		pid1.LineRest:        "warn processes are left after the drain timeout, killing them timeout=1s\n",
		pid1.LineNotExecuted: "error cannot execute program=/bin/program err=no such process\n",
		pid1.LineExited:      "info child exited pid=4194304 program=program status=137 elapsed=1.250s\n",
		pid1.LineSignaled:    "info child ended by signal pid=4194304 program=program status=137 elapsed=1.250s signal=SIGRTMIN+3 core_dumped=true\n",
		pid1.LineAbnormal:    "warn child ended by signal pid=4194304 program=program status=137 elapsed=1.250s signal=SIGRTMIN+3 core_dumped=true\n",
	} {
		if got[id] != want {
			t.Errorf("got %q, want %q", got[id], want)
		}
	}
	if !strings.HasPrefix(got[pid1.LineNoStart], "error cannot start a process err=no such process hint=raise the limit of processes (--pids-limit") {
		t.Errorf("%q", got[pid1.LineNoStart])
	}
	for _, tinis := range []pid1.LineID{pid1.LineChild, pid1.LineMain, pid1.LineLeft, pid1.LineNone, pid1.LineZombie, pid1.LineLeave, pid1.LineNoTTY} {
		if got[tinis] != "" {
			t.Errorf("a line of tini's: %q", got[tinis])
		}
	}
	t.Run("-w warns of an orphan", func(t *testing.T) {
		j, w := newJob(t, Config{WarnOnReap: true})
		if got := texts(j, w)[pid1.LineReaped]; got != "warn reaped orphan pid=4194304 status=137\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("no program at all", func(t *testing.T) {
		j, w := newJob(t, Config{Args: []string{}})
		if got := texts(j, w)[pid1.LineSpawned]; got != "info spawned child pid=4194304 program=\n" {
			t.Errorf("%q", got)
		}
	})
}
