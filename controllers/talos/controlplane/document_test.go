package controlplane

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/installation"
)

// TestDocumentOfReasons holds the table of docs/control-plane.md to the reasons that there are.
func TestDocumentOfReasons(t *testing.T) {
	reasons := found(t, "../../../apiserver/apis/controlplane/v1alpha3/conditions.go", `(?m)^\tReason\w+\s+= "(\w+)"`)

	var told []string
	for _, row := range found(t, "../../../docs/control-plane.md", "(?m)^\\| (`[A-Z].*?`) \\| ") {
		told = append(told, regexp.MustCompile(`\w+`).FindAllString(row, -1)...)
	}

	slices.Sort(told)

	if slices.Sort(reasons); !slices.Equal(reasons, told) {
		t.Errorf("docs/control-plane.md tells %v, there are %v", told, reasons)
	}

	for _, name := range []string{talosWanted, installation.Annotation, intention} {
		if len(found(t, "../../../docs/control-plane.md", "("+regexp.QuoteMeta(name)+")")) == 0 {
			t.Errorf("docs/control-plane.md does not tell %s", name)
		}
	}
}

// found are what an expression's group finds in a file.
func found(t *testing.T, path, expression string) []string {
	t.Helper()

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	var all []string
	for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
		all = append(all, match[1])
	}

	return all
}
