package logging

import (
	"io"
	"log/slog"
	"strings"
	"time"
	"unicode"
)

// Config is how the log looks. The zero Level is info.
type Config struct {
	Writer io.Writer
	Level  slog.Level
	JSON   bool // else text: key=value
}

// New returns the log. In JSON a duration is a number of seconds.
func New(c Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level, ReplaceAttr: normalize}
	if !c.JSON {
		return slog.New(slog.NewTextHandler(c.Writer, options))
	}
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		return seconds(normalize(groups, a))
	}
	return slog.New(slog.NewJSONHandler(c.Writer, options))
}

// normalize gives every attribute the name it has in this project.
func normalize(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		a.Value = slog.StringValue(levelName(a.Value))
		return a
	}
	a.Key = snakeCase(a.Key)
	if a.Key == "err" {
		a.Key = "error"
	}
	return a
}

// levelName is the name of the level at or below the value: libraries have
// finer ones, which slog would write as DEBUG+2.
func levelName(v slog.Value) string {
	level, ok := v.Any().(slog.Level)
	switch {
	case !ok:
		return v.String()
	case level >= slog.LevelError:
		return slog.LevelError.String()
	case level >= slog.LevelWarn:
		return slog.LevelWarn.String()
	case level >= slog.LevelInfo:
		return slog.LevelInfo.String()
	default:
		return slog.LevelDebug.String()
	}
}

func seconds(a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Round(time.Microsecond).Seconds())
	}
	return a
}

// snakeCase turns the habits of other projects (controllerKind, local-member-id,
// "took ms", HTTPStatus) into snake_case.
func snakeCase(key string) string {
	var b strings.Builder
	runes := []rune(key)
	for i, r := range runes {
		switch {
		case r == '-' || r == ' ' || r == '/' || r == '.':
			b.WriteByte('_')
		case unicode.IsUpper(r):
			if startsWord(runes, i) {
				b.WriteByte('_')
			}
			b.WriteRune(unicode.ToLower(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// startsWord says whether the capital letter at i begins a word: after a small
// letter or a digit, or as the last capital of several before a small letter.
func startsWord(runes []rune, i int) bool {
	if i == 0 {
		return false
	}
	before := runes[i-1]
	if unicode.IsLower(before) || unicode.IsDigit(before) {
		return true
	}
	return unicode.IsUpper(before) && i+1 < len(runes) && unicode.IsLower(runes[i+1])
}
