package logging

import (
	"context"
	stdlog "log"
	"log/slog"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// CaptureLibraries leads into log what libraries write to loggers that belong
// to the whole process: klog's, controller-runtime's, and Go's standard ones.
// It is called once, before anything else starts.
func CaptureLibraries(log *slog.Logger) {
	kubernetes := forLibrary(log, "kubernetes")
	klog.SetLoggerWithOptions(logr.FromSlogHandler(kubernetes), klog.ContextualLogger(true), klog.WriteKlogBuffer(func(line []byte) {
		writeKlogLine(kubernetes, string(line))
	}))
	ctrllog.SetLogger(Library(log, "controllers"))
	golang := forLibrary(log, "go")
	slog.SetDefault(slog.New(golang))
	// Go's own packages write there what they have no other place for, such as a
	// panic in an HTTP handler.
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(golang, slog.LevelWarn).Writer())
}

// writeKlogLine passes on what was logged by klog's printf functions. It reads
// the level from klog's own header ("W1122 20:12:00.000000 123 file.go:12] ...")
// because logr, the other way, knows no warnings.
func writeKlogLine(h slog.Handler, line string) {
	level := slog.LevelInfo
	switch {
	case strings.HasPrefix(line, "W"):
		level = slog.LevelWarn
	case strings.HasPrefix(line, "E"), strings.HasPrefix(line, "F"):
		level = slog.LevelError
	}
	if _, message, ok := strings.Cut(line, "] "); ok {
		line = message
	}
	ctx := context.Background() // klog's printf functions have none
	if !h.Enabled(ctx, level) {
		return
	}
	// A log that cannot be written to has no place to say so.
	_ = h.Handle(ctx, slog.NewRecord(time.Now(), level, strings.TrimSpace(line), 0))
}

// Zap returns a logger for etcd, which speaks zap, that writes to log.
func Zap(log *slog.Logger) *zap.Logger {
	return zap.New(core{forLibrary(log, "etcd")})
}

// core is a zapcore.Core on a slog.Handler.
type core struct{ handler slog.Handler }

var _ zapcore.Core = core{}

// Enabled implements [zapcore.LevelEnabler].
func (c core) Enabled(level zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), slogLevel(level)) // zap knows no contexts
}

// With implements [zapcore.Core].
func (c core) With(fields []zapcore.Field) zapcore.Core {
	return core{c.handler.WithAttrs(attributes(fields))}
}

// Check implements [zapcore.Core].
func (c core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements [zapcore.Core].
func (c core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	record := slog.NewRecord(entry.Time, slogLevel(entry.Level), entry.Message, 0)
	if entry.LoggerName != "" {
		record.AddAttrs(slog.String("logger", entry.LoggerName))
	}
	record.AddAttrs(attributes(fields)...)
	return c.handler.Handle(context.Background(), record)
}

// Sync implements [zapcore.Core]; nothing is held back.
func (c core) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level < zapcore.InfoLevel:
		return slog.LevelDebug
	case level == zapcore.InfoLevel:
		return slog.LevelInfo
	case level == zapcore.WarnLevel:
		return slog.LevelWarn
	default: // zap itself panics or exits after writing, where the level says so
		return slog.LevelError
	}
}

// attributes translates fields one at a time, which keeps their order.
func attributes(fields []zapcore.Field) []slog.Attr {
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		encoder := zapcore.NewMapObjectEncoder()
		f.AddTo(encoder)
		for key, value := range encoder.Fields {
			attrs = append(attrs, slog.Any(key, value))
		}
	}
	return attrs
}
