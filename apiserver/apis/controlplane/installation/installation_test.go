package installation_test

import (
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
)

var now = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func TestParse(t *testing.T) {
	written := installation.Try{To: "v1.13.6", Times: 2, At: now}
	if got := installation.Parse(written.String()); got != written {
		t.Errorf("%q is read as %+v, want %+v", written, got, written)
	}

	for _, text := range []string{"", "v1.13.6", "v1.13.6 x 2026-11-28T12:00:00Z", "v1.13.6 1 yesterday", "v1.13.6 1 2026-11-28T12:00:00Z more"} {
		if got := installation.Parse(text); got != (installation.Try{}) {
			t.Errorf("%q is read as %+v, want none", text, got)
		}
	}
}

func TestLeft(t *testing.T) {
	for ago, want := range map[time.Duration]time.Duration{
		0: installation.Within, time.Minute: 9 * time.Minute, installation.Within: 0, time.Hour: 0,
		-time.Hour: installation.Within, // the clock was set back
	} {
		try := installation.Try{To: "v1.13.6", Times: 1, At: now.Add(-ago)}
		if got := try.Left(now); got != want {
			t.Errorf("%s after it was told, %s are left, want %s", ago, got, want)
		}

		if try.Pending(now) != (want > 0) {
			t.Errorf("%s after it was told: pending %t", ago, try.Pending(now))
		}
	}

	if left := (installation.Try{}).Left(now); left != 0 {
		t.Errorf("%s are left of none", left)
	}
}
