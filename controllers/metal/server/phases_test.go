package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPeopleAreTold holds to the constants what people are told of phases, by kubectl explain and by the docs, and of what
// is wrong with a machine's power control.
func TestPeopleAreTold(t *testing.T) {
	var phases []string
	for _, phase := range Phases() {
		phases = append(phases, string(phase))
	}

	const docs = "../../../docs/servers.md"

	for _, l := range []struct {
		file, from, to, each string
		want                 []string
	}{
		{"../../../apiserver/apis/metal/v1alpha2/server_types.go", "// Phase sums up the server's life for display: ", ". Programs", `[A-Z][A-Za-z]+`, phases},
		{docs, "| phase |", "\n\n", "(?m)^\\| `([A-Za-z]+)`", phases},
		{docs, "| cause |", "\n\n", "(?m)^\\| `([A-Za-z]+)`", []string{
			reasonSecret, reasonSettings, reasonDenied, reasonPerson, reasonFailed, reasonDefies, reasonChanged,
		}},
	} {
		got := list(t, l.file, l.from, l.to, regexp.MustCompile(l.each))

		slices.Sort(got)
		slices.Sort(l.want)

		if !slices.Equal(got, l.want) {
			t.Errorf("%s lists after %q\n%v, and there are\n%v", l.file, l.from, got, l.want)
		}
	}
}

// list is what a text names between two others.
func list(t *testing.T, file, from, to string, each *regexp.Regexp) (named []string) {
	t.Helper()

	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	_, rest, begins := strings.Cut(string(text), from)
	told, _, ends := strings.Cut(rest, to)

	if !begins || !ends {
		t.Fatalf("%s has no list between %q and %q", file, from, to)
	}

	for _, match := range each.FindAllStringSubmatch(told, -1) {
		named = append(named, match[len(match)-1])
	}

	return named
}
