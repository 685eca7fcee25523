package server

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPhasesAreTold holds to the constants what people are told of phases: by kubectl explain, and by the docs.
func TestPhasesAreTold(t *testing.T) {
	type list struct{ file, from, to, each string }

	for _, l := range []list{
		{"../../../apiserver/apis/metal/v1alpha2/server_types.go", "// Phase sums up the server's life for display: ", ". Programs", `[A-Z][A-Za-z]+`},
		{"../../../docs/servers.md", "| phase |", "\n\n", "(?m)^\\| `([A-Za-z]+)`"},
	} {
		text, err := os.ReadFile(l.file)
		if err != nil {
			t.Fatal(err)
		}

		_, rest, begins := strings.Cut(string(text), l.from)
		told, _, ends := strings.Cut(rest, l.to)

		if !begins || !ends {
			t.Fatalf("%s has no list of phases between %q and %q", l.file, l.from, l.to)
		}

		var got []string
		for _, match := range regexp.MustCompile(l.each).FindAllStringSubmatch(told, -1) {
			got = append(got, match[len(match)-1])
		}

		var want []string
		for _, phase := range Phases() {
			want = append(want, string(phase))
		}

		slices.Sort(got)
		slices.Sort(want)

		if !slices.Equal(got, want) {
			t.Errorf("%s lists the phases\n%v, and there are\n%v", l.file, got, want)
		}
	}
}
