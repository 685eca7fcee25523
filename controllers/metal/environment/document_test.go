package environment

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestDocumentOfReasons holds the table of docs/environments.md to the code.
func TestDocumentOfReasons(t *testing.T) {
	found := func(path, expression string) []string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}

		var words []string
		for _, match := range regexp.MustCompile(expression).FindAllStringSubmatch(string(text), -1) {
			words = append(words, match[1])
		}

		slices.Sort(words)

		return words
	}

	want := append(found("../../../assets/download/failure.go", `(?m)^\t[A-Z]\w+ +Reason = "(\w+)"$`),
		found("status.go", `(?m)^\treason\w+ += "(\w+)"$`)...)
	slices.Sort(want)

	got := found("../../../docs/environments.md", "(?m)^\\| `([A-Z]\\w+)` \\|")
	if !slices.Equal(got, want) || len(want) < 20 {
		t.Errorf("docs/environments.md has %v, the code %v", got, want)
	}
}
