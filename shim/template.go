package shim

import (
	"encoding/json"
	"strings"

	"github.com/cgshim/cgshim/shim/pid1"
)

// template makes the text that PID 1 fills in from a rendered line. In a rendered line a mark
// is a NUL and a letter. The JSON encoder writes the NUL as \u0000. It writes a backslash of
// a value as two, so such a sequence in a value is no mark. Arguments and variables cannot
// hold a NUL. The console encoder writes the message, the time, the level and the name as
// they are, so texts of a user stand there only as marks.
func (j *job) template(rendered string) string {
	const escaped = `\u0000`
	var b strings.Builder
	for i := 0; i < len(rendered); i++ {
		rest := rendered[i:]
		switch {
		case rest[0] == 0 && len(rest) > 1:
			i = j.mark(&b, rendered, i, 1, false)
		case strings.HasPrefix(rest, escaped) && len(rest) > len(escaped):
			i = j.mark(&b, rendered, i, len(escaped), true)
		case rest[0] == '\\' && len(rest) > 1:
			b.WriteString(rest[:2])
			i++
		default:
			b.WriteByte(rest[0])
		}
	}
	return b.String()
}

// mark writes what stands for the mark at i, whose letter is further on, and returns the
// place of the last byte of the mark. JSON writes a number without quotes.
func (j *job) mark(b *strings.Builder, rendered string, i, further int, inJSON bool) int {
	last := i + further
	letter := rendered[last]
	text := "\x00" + string(rune(letter))
	switch text {
	case MarkName, markProgram:
		text = map[string]string{MarkName: j.Name, markProgram: j.program()}[text]
		if inJSON {
			text = quoted(text)
		}
	default:
		quote := i > 0 && rendered[i-1] == '"' && last+1 < len(rendered) && rendered[last+1] == '"'
		if pid1.Slot(letter).Number() && quote {
			before := strings.TrimSuffix(b.String(), `"`)
			b.Reset()
			b.WriteString(before)
			last++
		}
	}
	b.WriteString(text)
	return last
}

// quoted returns s as the inside of a JSON string.
func quoted(s string) string {
	data, err := json.Marshal(s)
	if err != nil {
		return ""
	}
	return string(data[1 : len(data)-1])
}
