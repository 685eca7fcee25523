package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// extractor reads the power state out of an answer.
type extractor struct {
	path    []step
	pattern *regexp.Regexp
	on, off []string
}

func (c *checker) extractor(from *StateRequest) *extractor {
	to := &extractor{pattern: c.regexp("state.regexp", from.Regexp), on: from.On, off: from.Off}
	if len(to.on) == 0 {
		to.on = []string{"on", "true", "1"}
	}
	if len(to.off) == 0 {
		to.off = []string{"off", "false", "0"}
	}
	if (from.JSONPath == "") == (from.Regexp == "") {
		c.add("state", "needs one of jsonPath and regexp")
	}
	if from.JSONPath != "" {
		path, err := parsePath(from.JSONPath)
		if err != nil {
			c.add("state.jsonPath", "%w", err)
		}
		to.path = path
	}
	for _, value := range to.on {
		if to.means(to.off, value) {
			c.add("state.on", "%q means off too", value)
		}
	}
	return to
}

// state is what an answer says. Of the answer an error tells the value only.
func (e *extractor) state(answer []byte) (power.State, error) {
	value, err := e.value(answer)
	switch {
	case err != nil:
		return power.Unknown, err
	case e.means(e.on, value):
		return power.On, nil
	case e.means(e.off, value):
		return power.Off, nil
	}
	return power.Unknown, fmt.Errorf("find state in answer: it is %s, which is neither on (%s) nor off (%s)", shorten(value), strings.Join(e.on, ", "), strings.Join(e.off, ", "))
}

func (e *extractor) means(values []string, value string) bool {
	return slices.ContainsFunc(values, func(other string) bool { return strings.EqualFold(other, value) })
}

func shorten(value string) string {
	const limit = 40
	if len(value) > limit {
		return strconv.QuoteToASCII(value[:limit]) + "…"
	}
	return strconv.QuoteToASCII(value)
}

func (e *extractor) value(answer []byte) (string, error) {
	if e.pattern == nil {
		return lookUp(answer, e.path)
	}
	found := e.pattern.FindSubmatch(answer)
	if found == nil {
		return "", fmt.Errorf("find state in answer: nothing in its %d bytes matches the regular expression", len(answer))
	}
	return string(found[min(1, len(found)-1)]), nil
}

// step is a name in an object, or an index in an array.
type step struct {
	name    string
	index   int
	isIndex bool
}

func (s step) String() string {
	if s.isIndex {
		return fmt.Sprintf("[%d]", s.index)
	}
	return fmt.Sprintf("[%q]", s.name)
}

// parsePath parses names with dots between them, [indexes] and ["names"]. A $ may begin it, as in RFC 9535, of which this
// is a part.
func parsePath(text string) ([]step, error) {
	rest := strings.TrimPrefix(text, "$")
	var path []step
	for rest != "" {
		var next step
		var err error
		switch {
		case rest[0] == '[':
			next, rest, err = parseBracket(rest[1:])
		case rest[0] == '.' && (len(path) > 0 || strings.HasPrefix(text, "$")):
			next.name, rest = cutName(rest[1:])
		case len(path) == 0:
			next.name, rest = cutName(rest)
		default:
			err = errors.New("a dot or a bracket is missing after ]")
		}
		if err == nil && !next.isIndex && next.name == "" {
			err = errors.New("a name is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("parse path: %w", err)
		}
		path = append(path, next)
	}
	return path, nil
}

func cutName(text string) (name, rest string) {
	if end := strings.IndexAny(text, ".["); end >= 0 {
		return text[:end], text[end:]
	}
	return text, ""
}

// parseBracket parses what follows a [, up to and with the ].
func parseBracket(text string) (step, string, error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return step{}, "", errors.New("a name in quotes does not end")
		}
		name, err := strconv.Unquote(quoted)
		rest, closed := strings.CutPrefix(text[len(quoted):], "]")
		if err != nil || !closed {
			return step{}, "", errors.New("a name in quotes is not followed by ]")
		}
		return step{name: name}, rest, nil
	}
	digits, rest, closed := strings.Cut(text, "]")
	index, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || !closed {
		return step{}, "", errors.New("brackets are not around an index or a name in quotes")
	}
	return step{index: int(index), isIndex: true}, rest, nil
}

// lookUp returns the string, number or boolean at a path.
func lookUp(answer []byte, path []step) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", errors.New("find state in answer: it is not JSON")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("find state in answer: it is not JSON alone")
	}
	for i, step := range path {
		next, found := step.in(value)
		if !found {
			return "", fmt.Errorf("find state in answer: there is nothing at %v", path[:i+1])
		}
		value = next
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case bool:
		return strconv.FormatBool(value), nil
	case json.Number:
		return value.String(), nil
	}
	return "", errors.New("find state in answer: the path leads to null, an object or an array, not to a value")
}

func (s step) in(value any) (any, bool) {
	if s.isIndex {
		array, _ := value.([]any)
		if s.index >= len(array) {
			return nil, false
		}
		return array[s.index], true
	}
	object, _ := value.(map[string]any)
	next, found := object[s.name]
	return next, found
}
