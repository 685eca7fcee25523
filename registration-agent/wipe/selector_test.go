package wipe

import (
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{
		"0": 0, "512": 512, "1 B": 1, "4KB": 4e3, "4k": 4e3, "4KiB": 4 << 10, "4Ki": 4 << 10,
		"1.5 TB": 15e11, "2TiB": 2 << 40, "1,000 MB": 1e9, "8EB": 8e18, " 3 gib ": 3 << 30, "1PB": 1e15,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GB", "4XB", "4 i", "4iB", "1.2.3", "99EB", "4KMB", "-1", "4 k b"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

func TestCompileSize(t *testing.T) {
	for condition, want := range map[string]string{
		"": "1 2 3", "2": "2", "==2": "2", "== 2": "2", "<2": "1", "< 2": "1", "<=2": "1 2", ">2": "3", " >= 2": "2 3",
	} {
		meant, err := compileSize(condition)
		if err != nil {
			t.Errorf("%q: %v", condition, err)
			continue
		}
		var got []string
		for n, name := range []string{"1", "2", "3"} {
			if meant(disk.Disk{Size: uint64(n + 1)}) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q takes %v, want %q", condition, got, want)
		}
	}
	for _, condition := range []string{"=2", "<>2", "=>2", "=< 2", "< ", "!2"} {
		if _, err := compileSize(condition); err == nil {
			t.Errorf("%q is taken", condition)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything", true}, {"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true},
		{"*", "", true}, {"**", "x", true}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"ab*ba", "aba", false},
		{"a*b*c", "a-b-c", true}, {"a*b*c", "a-c-b", false}, {"*x*", "abc", false}, {"a", "A", false}, {"a?", "ab", false},
	} {
		if got := matches(test.pattern, test.text); got != test.want {
			t.Errorf("%q matches %q: %v", test.pattern, test.text, got)
		}
	}
}

// FuzzSelector: whatever people write, it is refused or it works.
func FuzzSelector(f *testing.F) {
	f.Add(">= 1TB", "WDC*", "ssd", "/dev/disk/by-id/x")
	f.Add("1.5 GiB", "*", "", "/dev/../x")
	f.Fuzz(func(t *testing.T, size, model, kind, path string) {
		selector := Selector{Size: size, Model: model, Type: kind}
		if meant, err := selector.compile(); err == nil {
			meant(disk.Disk{Size: 1 << 40, Model: "WDC Blue", Transport: disk.SATA})
		}
		if meant, err := parsePath(path); err == nil {
			meant(disk.Disk{Name: "sda"})
		}
		if !matches("*"+model+"*", "x"+model) && !strings.Contains(model, "*") {
			t.Errorf("%q does not match itself", model)
		}
	})
}
