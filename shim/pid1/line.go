package pid1

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// LineID names a log line that PID 1 may write while the program runs and at its end. The
// helper that prepares renders the lines, because that takes the runtime.
type LineID int

const (
	LineSpawned     LineID = iota
	LineChild              // SIGCHLD arrived
	LineForward            // before a signal is forwarded
	LineDrop               // a signal is not forwarded
	LineFailed             // a signal could not be forwarded, because its target is gone
	LineUnsent             // a signal could not be forwarded for another reason
	LineReaped             // an orphan was reaped
	LineZombie             // tini's second line for an orphan, with -w
	LineLeft               // children are left after reaping
	LineNone               // no child is left after reaping
	LineMain               // the program was reaped
	LineLate               // the program is killed
	LineRefused            // the program may not be killed
	LineAbandoned          // likewise, and this process exits
	LineDetach             // a traced child could not be detached
	LineDrain              // the drain begins
	LineRest               // processes are left after the drain timeout
	LineNoStart            // no process could be created for the program
	LineNotExecuted        // the program could not be executed; without the reason
	LineNoTTY              // standard input of tini's child is no terminal
	LineExited
	LineSignaled // by a signal that was forwarded
	LineAbnormal
	LineLeave // tini's last line
)

// A Slot is a value that PID 1 fills in when it writes a line.
type Slot byte

const (
	SlotTime Slot = 'a' + iota
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
	SlotCore
)

// Number reports whether JSON writes the value without quotes.
func (s Slot) Number() bool {
	switch s {
	case SlotPID, SlotFromPID, SlotFromUID, SlotStatus, SlotCore:
		return true
	}
	return false
}

// Mark stands for the slot in a rendered line. No argument and no variable can hold a NUL.
func (s Slot) Mark() string { return "\x00" + string(rune(s)) }

// Errnos is more than the highest errno that has a text (errno(3)).
const Errnos = 256

// table has the texts for PID 1. In a line a NUL and a Slot stand for a value.
type table struct {
	lines  [64]Text
	names  [128]Text // of signals, as kill(1) and docker spell them, such as SIGTERM
	texts  [128]Text // of signals, as strsignal(3) has them
	errnos [Errnos]Text
}

// SetLine sets the text of a line.
func (o *Orders) SetLine(id LineID, line string) { o.lines[id&63] = o.text(line) }

// SetSignal sets the names of a signal.
func (o *Orders) SetSignal(sig Signal, name, text string) {
	o.names[sig&127], o.texts[sig&127] = o.text(name), o.text(text)
}

// SetErrno sets the text of an errno.
func (o *Orders) SetErrno(errno syscall.Errno, text string) {
	o.errnos[errno&(Errnos-1)] = o.text(text)
}

// values fill the slots of a line.
type values struct {
	pid, fromPID, fromUID, status int
	signal, received              Signal
	elapsed                       time.Duration
	errno                         syscall.Errno
	core                          bool
}

// page is a log line on its way.
type page struct {
	text [4096]byte
	n    int
}

func (p *page) byte(c byte) {
	if p.n < len(p.text) {
		p.text[p.n&(len(p.text)-1)] = c
		p.n++
	}
}

// shows reports whether the level of the log shows the line.
func (l *life) shows(id LineID) bool { return l.orders.lines[id&63].size > 0 }

// say appends the line with these values to the page.
func (l *life) say(id LineID, v *values) {
	o := l.orders
	text := o.lines[id&63]
	if text.size == 0 {
		return
	}
	p := &l.page
	if int(text.size)+longestValues > len(p.text)-p.n {
		l.flush()
	}
	for i := text.at; i < text.at+text.size; i++ {
		c := o.arenaByte(i)
		if c != 0 {
			p.byte(c)
			continue
		}
		i++
		l.fill(p, Slot(o.arenaByte(i)), v)
	}
	if p.n > 0 && p.text[(p.n-1)&(len(p.text)-1)] != '\n' { // the page was full
		p.n = min(p.n, len(p.text)-1)
		p.byte('\n')
	}
}

// longestValues is more than all the values of a line have together.
const longestValues = 512

func (o *Orders) arenaByte(i uint32) byte { return o.arena[i&(uint32(len(o.arena))-1)] }

// fill writes the value of a slot. The compiler makes an indirect jump of a switch with
// eight cases, so there are two.
func (l *life) fill(p *page, slot Slot, v *values) {
	switch slot {
	case SlotTime:
		p.stamp()
	case SlotElapsed:
		p.seconds(v.elapsed)
	case SlotErrno:
		l.errnoText(p, v.errno, false)
	case SlotStrerror:
		l.errnoText(p, v.errno, true)
	case SlotCore:
		p.truth(v.core)
	default:
		l.fillName(p, slot, v)
	}
}

func (l *life) fillName(p *page, slot Slot, v *values) {
	o := l.orders
	switch slot {
	case SlotSignal:
		l.append(p, o.names[v.signal&127])
	case SlotSignalText:
		l.append(p, o.texts[v.signal&127])
	case SlotReceived:
		l.append(p, o.names[v.received&127])
	case SlotPID:
		p.number(v.pid)
	case SlotFromPID:
		p.number(v.fromPID)
	case SlotFromUID:
		p.number(v.fromUID)
	case SlotStatus:
		p.number(v.status)
	}
}

func (l *life) append(p *page, t Text) {
	for i := t.at; i < t.at+t.size; i++ {
		p.byte(l.orders.arenaByte(i))
	}
}

// errnoText writes the text of an errno. glibc's texts begin with a capital, Go's do not.
func (l *life) errnoText(p *page, errno syscall.Errno, capital bool) {
	t := l.orders.errnos[errno&255]
	if t.size == 0 {
		p.number(int(errno))
		return
	}
	first := p.n
	l.append(p, t)
	if c := &p.text[first&(len(p.text)-1)]; capital && p.n > first && *c >= 'a' && *c <= 'z' {
		*c -= 'a' - 'A'
	}
}

// truth writes a bool. Letter by letter it needs no read-only data (pin.go).
func (p *page) truth(b bool) {
	if b {
		p.byte('t')
		p.byte('r')
		p.byte('u')
	} else {
		p.byte('f')
		p.byte('a')
		p.byte('l')
		p.byte('s')
	}
	p.byte('e')
}

func (p *page) word(s string) {
	for i := 0; i < len(s); i++ {
		p.byte(s[i])
	}
}

func (p *page) number(n int) {
	if n < 0 {
		p.byte('-')
		n = -n
	}
	p.digits(uint32(n), 1)
}

// digits writes at least this number of digits. 32 bits are enough for every number of a
// line, and their division needs nothing of the runtime on any port.
func (p *page) digits(n uint32, least int) {
	var reverse [16]byte
	i := 0
	for n > 0 || i < least {
		reverse[i&15] = '0' + byte(n%10)
		n /= 10
		i++
	}
	for i--; i >= 0; i-- {
		p.byte(reverse[i&15])
	}
}

// split divides by one thousand millions, which every 32-bit port can do by subtraction.
func split(d time.Duration) (seconds, rest uint32) {
	for step := time.Duration(1 << 31); step > 0; step >>= 1 {
		if d >= step*time.Second && step*time.Second > 0 {
			d -= step * time.Second
			seconds += uint32(step)
		}
	}
	return seconds, uint32(d)
}

// seconds writes d in seconds, to the millisecond.
func (p *page) seconds(d time.Duration) {
	whole, rest := split(max(d, 0))
	p.digits(whole, 1)
	if rest /= 1_000_000; rest > 0 {
		p.byte('.')
		p.digits(rest, 3)
	}
	p.byte('s')
}

// stamp writes the time as RFC 3339 does, in UTC. The local time zone is in a file.
func (p *page) stamp() {
	seconds, rest := split(clock(unix.CLOCK_REALTIME))
	year, month, day := date(seconds / 86400)
	p.digits(year, 4)
	p.byte('-')
	p.digits(month, 2)
	p.byte('-')
	p.digits(day, 2)
	p.byte('T')
	p.digits(seconds/3600%24, 2)
	p.byte(':')
	p.digits(seconds/60%60, 2)
	p.byte(':')
	p.digits(seconds%60, 2)
	p.byte('.')
	p.digits(rest, 9)
	p.byte('Z')
}

// date returns the Gregorian date that is days after 1970-01-01. A year begins in March
// here, so that the leap day is its last day, and five months have 153 days.
func date(days uint32) (year, month, day uint32) {
	const eraDays, before1970 = 146097, 719468 // days of 400 years, and since 0000-03-01
	days += before1970
	era, rest := days/eraDays, days%eraDays
	yearOfEra := (rest - rest/1460 + rest/36524 - rest/146096) / 365
	rest -= 365*yearOfEra + yearOfEra/4 - yearOfEra/100
	m := (5*rest + 2) / 153
	day = rest - (153*m+2)/5 + 1
	year = 400*era + yearOfEra
	if m < 10 {
		return year, m + 3, day
	}
	return year + 1, m - 9, day
}
