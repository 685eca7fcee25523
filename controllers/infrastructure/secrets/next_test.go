package secrets

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }

	for name, c := range map[string]struct {
		facts facts
		want  action
		after time.Duration
	}{
		"nobody needs it":       {facts{}, leave, 0},
		"needed":                {facts{needed: true}, hold, 0},
		"kept":                  {facts{needed: true, held: true}, leave, 0},
		"needed no more":        {facts{held: true}, release, 0},
		"deleted":               {facts{deleted: ago(time.Minute)}, leave, 0},
		"deleted, too late":     {facts{deleted: ago(time.Minute), needed: true}, leave, 0},
		"deleted, kept":         {facts{deleted: ago(time.Minute), needed: true, held: true}, leave, patience - time.Minute},
		"deleted, needed not":   {facts{deleted: ago(time.Minute), held: true}, release, 0},
		"deleted, for too long": {facts{deleted: ago(patience), needed: true, held: true}, release, 0},
		"clock set back":        {facts{deleted: ago(-time.Hour), needed: true, held: true}, release, 0},
	} {
		c.facts.now = now
		if got, after := next(c.facts); got != c.want || after != c.after {
			t.Errorf("%s: %v after %v, want %v after %v", name, got, after, c.want, c.after)
		}
	}
}
