package appliance

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// variable is a typed place that text can be written to: the one parser of a
// setting, whether it comes from a flag, a variable or a file.
type variable[T any] struct {
	to    *T
	parse func(string) (T, error)
	show  func(T) string
	kind  string // shown in help texts
}

var _ pflag.Value = variable[int]{}

// Set implements [pflag.Value].
func (v variable[T]) Set(s string) error {
	parsed, err := v.parse(s)
	if err != nil {
		return err
	}
	*v.to = parsed
	return nil
}

// String implements [pflag.Value].
func (v variable[T]) String() string {
	if v.to == nil { // pflag compares with a zero value
		return ""
	}
	return v.show(*v.to)
}

// Type implements [pflag.Value].
func (v variable[T]) Type() string { return v.kind }

func text(to *string) pflag.Value {
	parse := func(s string) (string, error) { return s, nil }
	return variable[string]{to, parse, func(s string) string { return s }, "string"}
}

// dashIsEmpty is a text for which - means the empty one: Sidero's manifests
// write it because clusterctl cannot substitute an empty value.
func dashIsEmpty(to *string) variable[string] {
	parse := func(s string) (string, error) {
		if s == "-" {
			return "", nil
		}
		return s, nil
	}
	return variable[string]{to, parse, func(s string) string { return s }, "string"}
}

func number(to *int) pflag.Value {
	parse := func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number", s)
		}
		return n, nil
	}
	return variable[int]{to, parse, strconv.Itoa, "int"}
}

func boolean(to *bool) pflag.Value {
	parse := func(s string) (bool, error) {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return false, fmt.Errorf("%q is neither true nor false", s)
		}
		return b, nil
	}
	return variable[bool]{to, parse, strconv.FormatBool, "bool"}
}

func duration(to *time.Duration) pflag.Value {
	parse := func(s string) (time.Duration, error) {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration such as 90s, 20m or 1h30m", s)
		}
		return d, nil
	}
	return variable[time.Duration]{to, parse, shortDuration, "duration"}
}

// shortDuration writes 20m0s as 20m.
func shortDuration(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// share is a number from 0 to 1.
func share(to *float64) pflag.Value {
	parse := func(s string) (float64, error) {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= 0 && n <= 1) { // which NaN is not
			return 0, fmt.Errorf("%q is not a number from 0 to 1", s)
		}
		return n, nil
	}
	return variable[float64]{to, parse, func(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }, "float"}
}

// oneOf accepts the given words only.
func oneOf[T ~string](to *T, words ...T) pflag.Value {
	parse := func(s string) (T, error) {
		var known []string
		for _, w := range words {
			if string(w) == s {
				return w, nil
			}
			known = append(known, string(w))
		}
		return "", fmt.Errorf("%q is not one of %s", s, strings.Join(known, ", "))
	}
	return variable[T]{to, parse, func(t T) string { return string(t) }, "string"}
}

func dhcpMode(to *DHCPMode) pflag.Value {
	known := oneOf(to, DHCPProxy, DHCPOff)
	parse := func(s string) (DHCPMode, error) {
		if s == "server" {
			return "", errors.New("server is not in this version: use proxy beside your network's DHCP server, or off")
		}
		if err := known.Set(s); err != nil {
			return "", err
		}
		return DHCPMode(s), nil
	}
	return variable[DHCPMode]{to, parse, func(m DHCPMode) string { return string(m) }, "string"}
}

func logLevel(to *slog.Level) pflag.Value {
	parse := func(s string) (slog.Level, error) {
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			if s == showLevel(l) {
				return l, nil
			}
		}
		return 0, fmt.Errorf("%q is not one of debug, info, warn, error", s)
	}
	return variable[slog.Level]{to, parse, showLevel, "string"}
}

func showLevel(l slog.Level) string { return strings.ToLower(l.String()) }

// words is a list separated by commas. The first Set replaces what was there,
// further ones add to it, as a flag that is repeated does.
type words struct {
	to  *[]string
	set bool
}

func list(to *[]string) pflag.Value { return &words{to: to} }

// Set implements [pflag.Value].
func (w *words) Set(s string) error {
	if !w.set {
		*w.to = nil
	}
	w.set = true
	for _, word := range strings.Split(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*w.to = append(*w.to, word)
		}
	}
	return nil
}

// String implements [pflag.Value].
func (w *words) String() string {
	if w.to == nil {
		return ""
	}
	return strings.Join(*w.to, ",")
}

// Type implements [pflag.Value].
func (w *words) Type() string { return "strings" }

// noProxy is Sidero's switch for what is a mode here.
type noProxy struct{ to *DHCPMode }

// Set implements [pflag.Value]. False takes an "off" of a weaker source back.
func (n noProxy) Set(s string) error {
	var disable bool
	if err := boolean(&disable).Set(s); err != nil {
		return err
	}
	switch {
	case disable:
		*n.to = DHCPOff
	case *n.to == DHCPOff:
		*n.to = DHCPProxy
	}
	return nil
}

// String implements [pflag.Value].
func (n noProxy) String() string { return strconv.FormatBool(n.to != nil && *n.to == DHCPOff) }

// Type implements [pflag.Value].
func (n noProxy) Type() string { return "bool" }

// endpoint is Sidero's name for the advertised address; without a value it
// leaves alone what a weaker source said.
type endpoint struct{ variable[string] }

// Set implements [pflag.Value].
func (e endpoint) Set(s string) error {
	if s == "" || s == "-" {
		return nil
	}
	return e.variable.Set(s)
}
