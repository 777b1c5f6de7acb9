package shim

import (
	"bytes"
	"strconv"
	"time"

	"github.com/cgshim/cgshim/shim/process"
)

// A Line is a log line that was rendered before the program started. It has slots for
// values that are known only later. Writing a Line allocates nothing. A nil Line writes
// nothing.
type Line struct {
	pieces [][]byte // the text between the slots
	slots  []Slot
	write  func([]byte)
}

// Slot is a value that is filled in when a Line is written. The log renders a slot as a
// text or a number that NewLine finds again.
type Slot int

const (
	SlotTime Slot = iota
	SlotPID
	SlotSignal
	SlotSignalText // strsignal(3), as tini writes it
	SlotReceived
	SlotFromPID
	SlotFromUID
	SlotStatus
	SlotElapsed
	SlotErrno
	SlotStrerror // strerror(3), as tini writes it
	SlotKills
	SlotCore
	numSlots
)

// Text returns the mark that stands for the slot in a string.
func (s Slot) Text() string { return "‹" + string(rune('a'+s)) + "›" }

// Number returns the mark that stands for the slot in a number.
func (s Slot) Number() int64 { return 8_070_605_040_302_010_000 + int64(s) }

// IsNumber reports whether JSON writes the value without quotes.
func (s Slot) IsNumber() bool {
	switch s {
	case SlotPID, SlotFromPID, SlotFromUID, SlotStatus, SlotKills, SlotCore:
		return true
	}
	return false
}

// values fill the slots of a Line.
type values struct {
	pid, fromPID, fromUID, status int
	signal, received              process.Signal
	elapsed                       time.Duration
	errno                         error
	kills                         uint64
	core                          bool
}

// NewLine splits a rendered line at its slots. Each call of write gets a whole line.
func NewLine(rendered []byte, write func([]byte)) *Line {
	l := &Line{write: write}
	for {
		at, length, slot := len(rendered), 0, Slot(0)
		for s := range numSlots {
			for _, mark := range []string{s.Text(), strconv.FormatInt(s.Number(), 10)} {
				if i := bytes.Index(rendered, []byte(mark)); i >= 0 && i < at {
					at, length, slot = i, len(mark), s
				}
			}
		}
		l.pieces = append(l.pieces, bytes.Clone(rendered[:at]))
		if length == 0 {
			return l
		}
		l.slots = append(l.slots, slot)
		rendered = rendered[at+length:]
	}
}

// lineBuffer is the buffer in which say builds a line. One buffer is enough, because
// only one thread writes lines. say cuts longer lines.
var lineBuffer [4096]byte

// say writes the line with these values.
func (l *Line) say(v *values) {
	if l == nil {
		return
	}
	b := lineBuffer[:0]
	for i, piece := range l.pieces {
		b = append(b, piece[:min(len(piece), cap(lineBuffer[:])-len(b)-slotRoom)]...)
		if i < len(l.slots) && len(b)+2*slotRoom < cap(lineBuffer[:]) {
			b = appendSlot(b, l.slots[i], v)
		}
	}
	if len(b) == 0 || b[len(b)-1] != '\n' {
		b = append(b, '\n')
	}
	l.write(b)
}

// slotRoom is longer than the value of any slot.
const slotRoom = 128

func appendSlot(b []byte, slot Slot, v *values) []byte {
	switch slot {
	case SlotTime:
		now := process.WallClock()
		return time.Unix(0, int64(now)).UTC().AppendFormat(b, time.RFC3339Nano)
	case SlotPID:
		return strconv.AppendInt(b, int64(v.pid), 10)
	case SlotSignal:
		return append(b, process.SignalName(v.signal)...)
	case SlotSignalText:
		return append(b, process.SignalText(v.signal)...)
	case SlotReceived:
		return append(b, process.SignalName(v.received)...)
	case SlotFromPID:
		return strconv.AppendInt(b, int64(v.fromPID), 10)
	case SlotFromUID:
		return strconv.AppendInt(b, int64(v.fromUID), 10)
	case SlotStatus:
		return strconv.AppendInt(b, int64(v.status), 10)
	case SlotElapsed:
		return appendSeconds(b, v.elapsed)
	case SlotErrno:
		return append(b, v.errno.Error()...)
	case SlotStrerror:
		return appendCapital(b, v.errno.Error())
	case SlotKills:
		return strconv.AppendUint(b, v.kills, 10)
	case SlotCore:
		return strconv.AppendBool(b, v.core)
	}
	return b
}

// appendSeconds writes d in seconds, to the millisecond.
func appendSeconds(b []byte, d time.Duration) []byte {
	ms := d.Milliseconds()
	b = strconv.AppendInt(b, ms/1000, 10)
	if rest := ms % 1000; rest > 0 {
		b = append(b, '.', '0'+byte(rest/100), '0'+byte(rest/10%10), '0'+byte(rest%10))
	}
	return append(b, 's')
}
