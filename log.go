package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/cgshim/cgshim/shim"
)

// logger writes to stderr through zapcore: stdout is the child's. The root
// package zap is left out for its net/http (docs/adr/0002-zapcore-only.md).
type logger struct {
	settings *settings
	core     zapcore.Core // made by the first line that is shown: most runs have none
}

// stderr is descriptor 2 without os.File, which ends the process with SIGPIPE
// when the reader has gone (os/signal, "SIGPIPE"). A log line that cannot be
// written is lost and that is all: PID 1 goes on, and does not wait for a reader
// that has stopped to read.
type stderr struct{}

func (stderr) Write(p []byte) (written int, err error) {
	for written < len(p) && writable(2) {
		// Where poll(2) says so a pipe has room for PIPE_BUF bytes (pipe(7)).
		const pipeBuf = 4096
		n, err := unix.Write(2, p[written:min(len(p), written+pipeBuf)])
		switch {
		case err == nil:
			written += n
		case err != unix.EINTR:
			return written, err
		}
	}
	if written < len(p) {
		err = unix.EAGAIN
	}
	return written, err
}

// patience is how long to wait for a reader, in milliseconds: not twice for the same.
var patience = 100

// writable reports whether a write to fd neither blocks nor raises SIGPIPE.
func writable(fd int32) bool {
	ready := []unix.PollFd{{Fd: fd, Events: unix.POLLOUT}}
	for {
		if _, err := unix.Poll(ready, patience); err != unix.EINTR {
			break
		}
	}
	if ready[0].Revents != unix.POLLOUT {
		patience = 0
		return false
	}
	patience = 100
	return true
}

func (stderr) Sync() error { return nil } // EINVAL on terminals and pipes

func (l *logger) Log(level shim.Level, msg string, facts ...any) {
	if int(level) > l.settings.verbosity {
		return
	}
	l.write([...]zapcore.Level{zapcore.ErrorLevel, zapcore.WarnLevel, zapcore.InfoLevel, zapcore.DebugLevel, zapcore.DebugLevel}[level], msg, facts)
}

func (l *logger) Notice(msg string, facts ...any) {
	enough := int(shim.Warn)
	if l.settings.quiet {
		enough = int(shim.Info)
	}
	if l.settings.verbosity >= enough {
		l.write(zapcore.InfoLevel, msg, facts)
	}
}

func (l *logger) write(level zapcore.Level, msg string, facts []any) {
	if l.core == nil {
		l.core = zapcore.NewCore(l.encoder(), stderr{}, zapcore.DebugLevel)
	}
	fields := make([]zapcore.Field, 0, len(facts)/2)
	for i := 0; i+1 < len(facts); i += 2 {
		fields = append(fields, field(facts[i].(string), facts[i+1]))
	}
	_ = l.core.Write(zapcore.Entry{Level: level, Time: time.Now(), LoggerName: l.settings.Name, Message: msg}, fields)
}

func (l *logger) encoder() zapcore.Encoder {
	config := zapcore.EncoderConfig{
		TimeKey: "ts", LevelKey: "level", NameKey: "logger", MessageKey: "msg",
		EncodeTime:     zapcore.RFC3339NanoTimeEncoder,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.StringDurationEncoder,
		EncodeName:     zapcore.FullNameEncoder,
	}
	if l.settings.json {
		return zapcore.NewJSONEncoder(config)
	}
	config.ConsoleSeparator = " "
	if l.settings.Tini {
		// tini's prefix, which users grep for: [WARN  tini (7)]
		config.TimeKey, config.NameKey = "", ""
		config.EncodeLevel = func(level zapcore.Level, out zapcore.PrimitiveArrayEncoder) {
			out.AppendString(fmt.Sprintf("[%-5s tini (%d)]", level.CapitalString(), os.Getpid()))
		}
	}
	return zapcore.NewConsoleEncoder(config)
}

func field(key string, fact any) zapcore.Field {
	switch v := fact.(type) {
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
