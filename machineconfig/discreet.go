package machineconfig

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

const unknownKeys = "unknown keys found during decoding:\n"

// quoted is what YAML's errors say of the value that they are about.
var quoted = regexp.MustCompile("(?s)`.*?`")

// discreet is an error without the values that Talos's machinery puts into its own.
func discreet(err error) error { return errors.New(Discreet(err.Error())) }

// Discreet is the text of an error of Talos's machinery without the values that it quotes: a patch may hold passwords.
func Discreet(text string) string {
	if before, unknown, ok := strings.Cut(text, unknownKeys); ok {
		var document any
		if yaml.Unmarshal([]byte(unknown), &document) != nil {
			return before + "unknown keys"
		}

		return fmt.Sprintf("%sunknown keys: %s", before, strings.Join(keys(document, ""), ", "))
	}

	return quoted.ReplaceAllString(text, "a value")
}

// keys are the paths of what has no further keys below it.
func keys(document any, path string) []string {
	var found []string

	switch document := document.(type) {
	case map[string]any:
		for key, below := range document {
			found = append(found, keys(below, strings.TrimPrefix(path+"."+key, "."))...)
		}
	case []any:
		for i, below := range document {
			found = append(found, keys(below, fmt.Sprintf("%s[%d]", path, i))...)
		}
	}

	if len(found) == 0 {
		return []string{path}
	}

	slices.Sort(found)

	return found
}
