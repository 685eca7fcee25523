package installation

import (
	"maps"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

func TestParseEntry(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`time=2026-11-22T21:38:15.173Z level=INFO msg="answered network boot" mac=52:54:00:37:be:46 file=http://172.30.0.1:8081/boot.ipxe`: {
			"time": "2026-11-22T21:38:15.173Z", "level": "INFO", "msg": "answered network boot",
			"mac": "52:54:00:37:be:46", "file": "http://172.30.0.1:8081/boot.ipxe",
		},
		`level=WARN msg=a path="/ipxe?uuid=1&a=\"b\" c" reason=x`: {"level": "WARN", "msg": "a", "path": `/ipxe?uuid=1&a="b" c`, "reason": "x"},
		"error: no such thing": {"error: no such thing": ""},
		"":                     {},
	} {
		if got := parseEntry(lab.Line{Text: text}).Fields; !maps.Equal(got, want) {
			t.Errorf("%s\nis read as %q, want %q", text, got, want)
		}
	}
}

func TestEntryTimeAndMatch(t *testing.T) {
	entry := parseEntry(lab.Line{Text: "time=2026-11-22T21:38:15.173Z level=INFO msg=served path=/x status=200"})
	if want := time.Date(2026, 11, 22, 21, 38, 15, 173e6, time.UTC); !entry.Time.Equal(want) {
		t.Errorf("time is %s, want %s", entry.Time, want)
	}

	if !entry.Is("served", "path", "/x", "status", "200") || entry.Is("served", "path", "/y") || entry.Is("other") {
		t.Error("an entry is matched by its message and all fields")
	}
}
