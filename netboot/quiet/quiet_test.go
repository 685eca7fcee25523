package quiet_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/netboot/quiet"
)

func TestLevel(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	gate := quiet.New(func() time.Time { return now })
	for i, step := range []struct {
		wait      time.Duration
		who, what string
		want      slog.Level
	}{
		{0, "a", "refused", slog.LevelWarn},
		{0, "a", "refused", slog.LevelDebug},
		{0, "b", "refused", slog.LevelWarn},
		{0, "a", "served", slog.LevelWarn},
		{quiet.Interval - 1, "a", "refused", slog.LevelDebug},
		{1, "a", "refused", slog.LevelWarn},
		{0, "a", "refused", slog.LevelDebug},
	} {
		now = now.Add(step.wait)
		if got := gate.Level(slog.LevelWarn, step.who, step.what); got != step.want {
			t.Errorf("step %d, %s %s: %s, want %s", i, step.who, step.what, got, step.want)
		}
	}
}

func TestLinesOfAMinuteAreBounded(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	gate := quiet.New(func() time.Time { return now })
	lines := func() (n int) {
		for i := range 20_000 {
			if gate.Level(slog.LevelInfo, fmt.Sprint(i), "refused") == slog.LevelInfo {
				n++
			}
		}
		return n
	}
	for range 3 {
		if n := lines(); n != 4096 {
			t.Errorf("%d lines for 20000 senders", n)
		}
		now = now.Add(quiet.Interval)
	}
}
