package natives_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

var update = flag.Bool("update", false, "write the table in docs/api.md instead of comparing it")

const document, begin, end = "../../../docs/api.md", "<!-- kinds -->\n", "<!-- end -->\n"

// TestDocument holds the table of kinds in docs/api.md to the code.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}

	before, rest, found := bytes.Cut(text, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))

	if !found || !ended {
		t.Fatalf("%s has no place for the table", document)
	}

	want := slices.Concat(before, []byte(begin), kindsTable(), []byte(end), after)

	if *update {
		if err := os.WriteFile(document, want, 0o600); err != nil {
			t.Fatal(err)
		}

		return
	}

	if !bytes.Equal(text, want) {
		t.Errorf("%s is stale: run \"make generate\"", document)
	}
}

func kindsTable() []byte {
	var b bytes.Buffer

	b.WriteString("| group | kind | versions | resource | in a namespace | subresources | field selectors |\n|---|---|---|---|---|---|---|\n")

	for _, group := range natives.Groups() {
		for _, kind := range slices.Sorted(maps.Keys(group.Kinds)) {
			definition := group.Kinds[kind]
			names := definition.Names()

			var versions []string
			for _, version := range definition.Versions(group.Hub.GroupVersion) {
				versions = append(versions, version.Version)
			}

			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", group.Hub.Group, kind, strings.Join(versions, ", "),
				strings.Join(append([]string{names.Plural}, names.ShortNames...), ", "), yes(names.Namespaced),
				strings.Join(names.Subresources, ", "), strings.Join(names.Selectors, ", "))
		}
	}

	return b.Bytes()
}

func yes(b bool) string {
	if b {
		return "yes"
	}

	return "no"
}
