package console

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// Logger writes lines of the form "[  3.21] sidero-agent: message key=value".
func (c *Console) Logger() *slog.Logger {
	return slog.New(handler{console: c, uptime: Uptime})
}

// Uptime is the time since the kernel started.
func Uptime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

type handler struct {
	console *Console
	uptime  func() time.Duration
	attrs   []slog.Attr
}

func (h handler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (h handler) Handle(_ context.Context, record slog.Record) error {
	var line strings.Builder
	line.WriteString(Prefix)
	if record.Level >= slog.LevelWarn {
		line.WriteString(strings.ToLower(record.Level.String()) + ": ")
	}
	line.WriteString(record.Message)
	for _, attr := range h.attrs {
		appendAttr(&line, attr)
	}
	record.Attrs(func(attr slog.Attr) bool {
		appendAttr(&line, attr)
		return true
	})
	h.console.record(line.String())
	_, err := fmt.Fprintf(h.console, "[%7.2f] %s\n", h.uptime().Seconds(), line.String())
	return err
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

// WithGroup ignores groups: the agent's keys are few and flat.
func (h handler) WithGroup(string) slog.Handler { return h }

func appendAttr(line *strings.Builder, attr slog.Attr) {
	value := attr.Value.Resolve().String()
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' }) {
		value = strconv.Quote(value)
	}
	fmt.Fprintf(line, " %s=%s", attr.Key, value)
}
