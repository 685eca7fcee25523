package guard

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	failed := errors.New("failed")
	for name, test := range map[string]struct {
		work func() error
		want string
	}{
		"good":   {func() error { return nil }, ""},
		"failed": {func() error { return failed }, "failed"},
		"panic":  {func() error { panic("index out of range") }, "panic: index out of range"},
	} {
		log.Reset()
		got := ""
		if err := Run(logger, test.work); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
		if logged := strings.Contains(log.String(), "guard_test.go"); logged != (name == "panic") {
			t.Errorf("%s: log is %q", name, log.String())
		}
	}
}
