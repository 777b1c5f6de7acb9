package pid1

import (
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// filled returns the text of a line with these values.
func filled(line string, v values) string {
	l := newLife()
	l.setLines(map[LineID]string{LineSpawned: line})
	l.say(LineSpawned, &v)
	return l.said()
}

var slots = []Slot{
	SlotTime, SlotPID, SlotSignal, SlotSignalText, SlotReceived, SlotFromPID, SlotFromUID, SlotStatus, SlotElapsed, SlotErrno, SlotStrerror, SlotCore,
}

func TestSayFillsEverySlot(t *testing.T) {
	v := values{
		pid: 4194304, fromPID: 17, fromUID: 65534, status: 137, signal: unix.SIGKILL, received: unix.SIGTERM,
		elapsed: 90*time.Second + 5*time.Millisecond, errno: unix.EPERM, core: true,
	}
	want := map[Slot]string{
		SlotPID: "4194304", SlotSignal: "SIGKILL", SlotSignalText: "sigkill", SlotReceived: "SIGTERM", SlotFromPID: "17", SlotFromUID: "65534",
		SlotStatus: "137", SlotElapsed: "90.005s", SlotErrno: "operation not permitted", SlotStrerror: "Operation not permitted", SlotCore: "true",
	}
	for _, slot := range slots[1:] {
		for _, around := range [][2]string{{"", "\n"}, {"a ", " b\n"}, {`{"k":`, "}\n"}, {slot.Mark(), slot.Mark() + "\n"}} {
			line := around[0] + slot.Mark() + around[1]
			if got, want := filled(line, v), strings.ReplaceAll(line, slot.Mark(), want[slot]); got != want {
				t.Errorf("slot %c: got %q, want %q", slot, got, want)
			}
		}
	}
	for _, c := range []struct {
		name string
		slot Slot
		v    values
		want string
	}{
		{"a core that was not dumped", SlotCore, values{}, "false"},
		{"a negative PID is a group", SlotPID, values{pid: -12}, "-12"},
		{"an errno without a text", SlotErrno, values{errno: 200}, "200"},
		{"a signal without a name", SlotSignal, values{signal: 0}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := filled("<"+c.slot.Mark()+">\n", c.v); got != "<"+c.want+">\n" {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSlots(t *testing.T) {
	numbers := map[Slot]bool{SlotPID: true, SlotFromPID: true, SlotFromUID: true, SlotStatus: true, SlotCore: true}
	for i, slot := range slots {
		if slot != Slot('a'+i) {
			t.Errorf("slot %d is %c: the test does not have all", i, slot)
		}
		if slot.Number() != numbers[slot] {
			t.Errorf("slot %c is a number: %v", slot, slot.Number())
		}
		if mark := slot.Mark(); len(mark) != 2 || mark[0] != 0 {
			t.Errorf("slot %c has the mark %q", slot, mark)
		}
	}
}

func TestSayWithoutALine(t *testing.T) {
	l := newLife()
	l.say(LineDrain, &values{})
	if l.shows(LineDrain) || l.page.n != 0 {
		t.Errorf("%q", l.said())
	}
	l.orders.SetLine(LineDrain, "")
	l.say(LineDrain, &values{})
	if l.shows(LineDrain) || l.page.n != 0 {
		t.Errorf("%q", l.said())
	}
}

func TestLinesFollowEachOther(t *testing.T) {
	l := newLife()
	l.setLines(map[LineID]string{LineDrain: "drain\n", LineRest: "rest " + SlotStatus.Mark() + "\n"})
	l.say(LineDrain, &values{})
	l.say(LineRest, &values{status: 3})
	if got := l.said(); got != "drain\nrest 3\n" {
		t.Errorf("%q", got)
	}
}

// A line that is too long is cut, and still a line.
func TestLongLinesAreCut(t *testing.T) {
	const most = 4096
	long := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct{ name, line, begins string }{
		{"a long message", long(3*most) + "\n", "xx"},
		{"a long message without an end", long(2 * most), "xx"},
		{"a slot after it", long(2*most) + SlotStrerror.Mark() + "\n", "xx"},
		{"a slot before it", SlotStrerror.Mark() + long(2*most) + "\n", "Operation not permittedx"},
		{"a slot where the room ends", long(most-5) + SlotStrerror.Mark() + "\n", "xx"},
		{"a slot at the end of the room", long(most) + SlotStrerror.Mark() + "\n", "xx"},
		{"many slots", strings.Repeat(SlotErrno.Mark(), most) + "\n", "operation not permittedoperation"},
		{"a time where the room ends", long(most-10) + SlotTime.Mark() + "\n", "xx"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := filled(c.line, values{errno: unix.EPERM})
			if len(got) != most || strings.Count(got, "\n") != 1 || got[most-1] != '\n' || !strings.HasPrefix(got, c.begins) {
				t.Errorf("%d bytes, %d line ends: %.40q...%q", len(got), strings.Count(got, "\n"), got, got[max(0, len(got)-10):])
			}
		})
	}
	t.Run("a line that just fits is whole", func(t *testing.T) {
		line := long(most-1) + "\n"
		if got := filled(line, values{}); got != line {
			t.Errorf("%d of %d bytes", len(got), len(line))
		}
	})
}

// say empties the page before a line that may not fit. So the values of one line must fit
// into longestValues.
func TestNoLineHasMoreThanItsRoom(t *testing.T) {
	l := newLife()
	all := ""
	for _, slot := range slots {
		all += slot.Mark()
	}
	l.setLines(map[LineID]string{LineSpawned: all + "\n"})
	for errno := syscall.Errno(1); errno < 134; errno++ {
		l.orders.SetErrno(errno, errno.Error())
	}
	l.orders.SetSignal(64, "SIGRTMIN+30", "Real-time signal 30")
	v := values{pid: math.MinInt32, fromPID: math.MinInt32, fromUID: math.MaxInt32, status: 255, signal: 64, received: 64, elapsed: math.MaxInt64}
	for v.errno = 0; v.errno < Errnos; v.errno++ {
		l.say(LineSpawned, &v)
		if n := len(l.said()); n > longestValues {
			t.Fatalf("errno %d: %d bytes", v.errno, n)
		}
	}
}

func TestSayAllocatesNothing(t *testing.T) {
	l := newLife()
	l.setLines(map[LineID]string{LineSpawned: SlotTime.Mark() + SlotPID.Mark() + SlotErrno.Mark() + SlotElapsed.Mark() + SlotCore.Mark() + "\n"})
	v := values{pid: 7, errno: unix.EPERM}
	if n := testing.AllocsPerRun(100, func() { l.say(LineSpawned, &v); l.page.n = 0 }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestStamp(t *testing.T) {
	before := time.Now().Round(0)
	got := filled(SlotTime.Mark()+"\n", values{})
	at, err := time.Parse("2006-01-02T15:04:05.000000000Z\n", got)
	if after := time.Now(); err != nil || at.Before(before) || at.After(after) {
		t.Errorf("%q, %v, not within %v to %v", got, err, before, after)
	}
}

// Every day until the seconds no longer fit into 32 bits, in 2106.
func TestDate(t *testing.T) {
	for days := range uint32(1<<32/86400 + 1) {
		year, month, day := date(days)
		want := time.Unix(int64(days)*86400, 0).UTC()
		if got := fmt.Sprintf("%d-%02d-%02d", year, month, day); got != want.Format("2006-01-02") {
			t.Fatalf("day %d is %s, want %s", days, got, want.Format("2006-01-02"))
		}
	}
	for day, want := range map[string][3]uint32{
		"1970-01-01": {1970, 1, 1}, "2000-02-29": {2000, 2, 29}, "2024-12-31": {2024, 12, 31}, "2100-02-28": {2100, 2, 28}, "2100-03-01": {2100, 3, 1},
	} {
		at, err := time.Parse("2006-01-02", day)
		if err != nil {
			t.Fatal(err)
		}
		if year, month, d := date(uint32(at.Unix() / 86400)); [3]uint32{year, month, d} != want {
			t.Errorf("%s is %d-%d-%d", day, year, month, d)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 999 * time.Microsecond: "0s", time.Millisecond: "0.001s", 20 * time.Millisecond: "0.020s", 1234 * time.Millisecond: "1.234s",
		time.Second: "1s", 59*time.Second + 999*time.Millisecond: "59.999s", time.Hour + 5*time.Millisecond: "3600.005s",
		time.Duration(math.MaxUint32) * time.Second: "4294967295s",
	} {
		if got := filled(SlotElapsed.Mark()+"\n", values{elapsed: d}); got != want+"\n" {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, d := range []time.Duration{
		0, 1, time.Second - 1, time.Second, time.Second + 1, 86400 * time.Second, 1<<31*time.Second - 1, 1 << 31 * time.Second, 1753000000*time.Second + 123456789,
		time.Duration(math.MaxUint32)*time.Second + 999999999,
	} {
		seconds, rest := split(d)
		if time.Duration(seconds) != d/time.Second || time.Duration(rest) != d%time.Second {
			t.Errorf("%v is %d and %d", d, seconds, rest)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 99, 100, 4194304, math.MaxInt32, -1, -10, -4194304, math.MinInt32} {
		p := new(page)
		p.number(n)
		if got := string(p.text[:p.n]); got != fmt.Sprint(n) {
			t.Errorf("%d is %q", n, got)
		}
	}
}
