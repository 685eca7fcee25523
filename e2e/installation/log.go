package installation

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// Entry is one line of the appliance's log.
type Entry struct {
	Time   time.Time
	Fields map[string]string // level, msg and the rest
}

// Is tells whether the entry has the message and the fields, given as key, value, key, value.
func (e Entry) Is(message string, fields ...string) bool {
	if e.Fields["msg"] != message {
		return false
	}

	for n := 0; n+1 < len(fields); n += 2 {
		if e.Fields[fields[n]] != fields[n+1] {
			return false
		}
	}

	return true
}

// Entries are all lines that the running appliance has logged.
func (i *Installation) Entries() []Entry {
	now, cancel := context.WithCancel(context.Background())
	cancel()

	var entries []Entry
	for line := range i.Log.Lines(now) {
		entries = append(entries, parseEntry(line))
	}

	return entries
}

// parseEntry reads a line of slog's TextHandler: key=value, quoted as Go does where that is needed.
func parseEntry(line lab.Line) Entry {
	entry := Entry{Fields: map[string]string{}}

	for rest := line.Text; rest != ""; rest = strings.TrimPrefix(rest, " ") {
		var key, value string
		key, rest, _ = strings.Cut(rest, "=")

		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			rest = rest[len(quoted):]
			value, _ = strconv.Unquote(quoted)
		} else {
			end := strings.IndexByte(rest+" ", ' ')
			value, rest = rest[:end], rest[end:]
		}

		entry.Fields[key] = value
	}

	entry.Time, _ = time.Parse(time.RFC3339, entry.Fields["time"])

	return entry
}
