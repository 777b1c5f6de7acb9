package main

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/cgshim/cgshim/shim"
)

// logger writes to stderr through zapcore, because stdout belongs to the program. The
// root package zap would add net/http (docs/adr/0002-zapcore-only.md).
type logger struct {
	settings *settings
	core     zapcore.Core    // made when the first line appears; most runs write no line
	marks    zapcore.Encoder // for lines with marks, likewise
	child    string          // the PID of tini's child for tini's prefix, or "" for that of PID 1
}

func (l *logger) Log(level shim.Level, msg string, facts ...any) {
	if l.shows(level) {
		l.write(levels[level], msg, facts)
	}
}

func (l *logger) Notice(msg string, facts ...any) {
	enough := shim.LevelWarn
	if l.settings.quiet {
		enough = shim.LevelInfo
	}
	if l.shows(enough) {
		l.write(zapcore.InfoLevel, msg, facts)
	}
}

// Line renders a line, with marks in the place of values that are known only later. It
// returns "" if the level is not shown.
func (l *logger) Line(level shim.Level, msg string, facts ...any) string {
	if !l.shows(level) {
		return ""
	}
	return l.render(true, level, msg, facts)
}

// markTime puts the mark of the time in the place of the time.
func markTime(_ time.Time, out zapcore.PrimitiveArrayEncoder) { out.AppendString(shim.SlotTime.Mark()) }

func (l *logger) ChildLine(level shim.Level, msg string) string {
	child := &logger{settings: l.settings, child: shim.SlotPID.Mark()}
	return child.Line(level, msg)
}

func (l *logger) ChildRender(pid int, level shim.Level, msg string) string {
	child := &logger{settings: l.settings, child: strconv.Itoa(pid)}
	return child.Render(level, msg)
}

func (l *logger) Render(level shim.Level, msg string, facts ...any) string {
	if !l.shows(level) {
		return ""
	}
	return l.render(false, level, msg, facts)
}

func (l *logger) render(marks bool, level shim.Level, msg string, facts []any) string {
	entry := l.entry(levels[level], msg)
	encoder := l.marks
	switch {
	case !marks:
		encoder = l.encoder(zapcore.RFC3339NanoTimeEncoder)
	case encoder == nil:
		l.marks = l.encoder(markTime)
		encoder = l.marks
	}
	if marks {
		entry.LoggerName = shim.MarkName
	}
	rendered, err := encoder.EncodeEntry(entry, fields(facts))
	if err != nil {
		return msg
	}
	defer rendered.Free()
	return rendered.String()
}

func (l *logger) shows(level shim.Level) bool { return int(level) <= l.settings.verbosity }

// levels translates the levels of shim into zapcore's. Trace is below debug, because
// tini tells them apart.
var levels = [...]zapcore.Level{
	shim.LevelError: zapcore.ErrorLevel,
	shim.LevelWarn:  zapcore.WarnLevel,
	shim.LevelInfo:  zapcore.InfoLevel,
	shim.LevelDebug: zapcore.DebugLevel,
	shim.LevelTrace: traceLevel,
}

const traceLevel = zapcore.DebugLevel - 1

func (l *logger) write(level zapcore.Level, msg string, facts []any) {
	if l.core == nil {
		l.core = zapcore.NewCore(l.encoder(zapcore.RFC3339NanoTimeEncoder), shim.Stderr{}, traceLevel)
	}
	_ = l.core.Write(l.entry(level, msg), fields(facts))
}

// entry has the time in UTC, because the local time zone is in a file, whose file system may
// hang.
func (l *logger) entry(level zapcore.Level, msg string) zapcore.Entry {
	return zapcore.Entry{Level: level, Time: time.Now().UTC(), LoggerName: l.settings.Name, Message: msg}
}

func (l *logger) encoder(stamp zapcore.TimeEncoder) zapcore.Encoder {
	config := zapcore.EncoderConfig{
		TimeKey: "ts", LevelKey: "level", NameKey: "logger", MessageKey: "msg",
		EncodeTime:     stamp,
		EncodeLevel:    encodeLevel,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	if l.settings.json {
		return zapcore.NewJSONEncoder(config)
	}
	config.ConsoleSeparator = " "
	if l.settings.Tini {
		// Users of tini grep for its prefix, such as [WARN  tini (7)].
		config.TimeKey, config.NameKey = "", ""
		config.EncodeLevel = func(level zapcore.Level, out zapcore.PrimitiveArrayEncoder) {
			out.AppendString(fmt.Sprintf("[%-5s tini (%s)]", tiniLevel(level), cmp.Or(l.child, strconv.Itoa(l.settings.PID))))
		}
	}
	return zapcore.NewConsoleEncoder(config)
}

func encodeLevel(level zapcore.Level, out zapcore.PrimitiveArrayEncoder) {
	if level == traceLevel {
		out.AppendString("trace")
		return
	}
	zapcore.LowercaseLevelEncoder(level, out)
}

// tiniLevel returns tini's name of a level. tini logs an error that ends it as FATAL.
func tiniLevel(level zapcore.Level) string {
	switch level {
	case traceLevel:
		return "TRACE"
	case zapcore.ErrorLevel:
		return "FATAL"
	}
	return level.CapitalString()
}

func fields(facts []any) []zapcore.Field {
	list := make([]zapcore.Field, 0, len(facts)/2)
	for i := 0; i+1 < len(facts); i += 2 {
		list = append(list, field(facts[i].(string), facts[i+1]))
	}
	return list
}

func field(key string, fact any) zapcore.Field {
	switch v := fact.(type) {
	case shim.Slot:
		return zapcore.Field{Key: key, Type: zapcore.StringType, String: v.Mark()}
	case string:
		return zapcore.Field{Key: key, Type: zapcore.StringType, String: v}
	case int:
		return zapcore.Field{Key: key, Type: zapcore.Int64Type, Integer: int64(v)}
	case uint64:
		return zapcore.Field{Key: key, Type: zapcore.StringType, String: strconv.FormatUint(v, 10)}
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		return zapcore.Field{Key: key, Type: zapcore.BoolType, Integer: n}
	case time.Duration:
		return zapcore.Field{Key: key, Type: zapcore.DurationType, Integer: int64(v)}
	case error:
		return zapcore.Field{Key: key, Type: zapcore.StringType, String: v.Error()}
	case fmt.Stringer:
		return zapcore.Field{Key: key, Type: zapcore.StringType, String: v.String()}
	default:
		return zapcore.Field{Key: key, Type: zapcore.ReflectType, Interface: v}
	}
}
