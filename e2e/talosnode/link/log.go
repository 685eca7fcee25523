package link

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// line is one of the kernel's log, under Talos's keys.
type line struct {
	Clock    int64  `json:"clock"` // microseconds since the start
	Facility string `json:"facility"`
	Message  string `json:"msg"`
	Priority string `json:"priority"`
	Sequence int64  `json:"seq"`
	Level    string `json:"talos-level"`
	Time     string `json:"talos-time"`
}

// handler sends records as lines, besides what another handler does with them.
type handler struct {
	slog.Handler

	link    *Link
	started time.Time
	count   *atomic.Int64
	attrs   []slog.Attr
}

// Handler is one that sends what another handles, too.
func (l *Link) Handler(next slog.Handler) slog.Handler {
	return &handler{Handler: next, link: l, started: time.Now(), count: &atomic.Int64{}}
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	if record.Level >= slog.LevelInfo {
		h.send(record)
	}

	if !h.Handler.Enabled(ctx, record.Level) {
		return nil
	}

	return h.Handler.Handle(ctx, record) //nolint:wrapcheck // it adds nothing
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || h.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.Handler = h.Handler.WithAttrs(attrs)
	with.attrs = append(append([]slog.Attr{}, h.attrs...), attrs...)

	return &with
}

func (h *handler) send(record slog.Record) {
	var text strings.Builder

	text.WriteString("[talos] " + record.Message)

	for _, a := range h.attrs {
		text.WriteString(" " + a.String())
	}

	record.Attrs(func(a slog.Attr) bool {
		text.WriteString(" " + a.String())

		return true
	})

	encoded, err := json.Marshal(line{
		Clock: time.Since(h.started).Microseconds(), Facility: "user", Message: text.String(), Priority: priority(record.Level),
		Sequence: h.count.Add(1), Level: strings.ToLower(record.Level.String()), Time: record.Time.UTC().Format(time.RFC3339Nano),
	})
	if err != nil {
		return
	}

	select {
	case h.link.lines <- append(encoded, '\n'):
	default:
	}
}

func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "err"
	case level >= slog.LevelWarn:
		return "warning"
	default:
		return "info"
	}
}

// stream sends lines over one connection after the other. The line at which one breaks is sent again.
func (l *Link) stream(ctx context.Context, address string) {
	var unsent []byte

	for {
		dialing, cancel := context.WithTimeout(ctx, asksWithin)
		connection, err := l.dial(dialing, address)

		cancel()

		for err == nil {
			if unsent == nil {
				select {
				case <-ctx.Done():
					_ = connection.Close()

					return
				case unsent = <-l.lines:
				}
			}

			if _, err = connection.Write(unsent); err == nil {
				unsent = nil
			}
		}

		if connection != nil {
			_ = connection.Close()
		}

		if !wait(ctx) {
			return
		}
	}
}
