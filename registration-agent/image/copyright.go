package main

import (
	"regexp"
	"strings"
)

// licenceIn finds the short name of a file's licence in a copyright file of Debian's
// format 1.0: the last paragraph that has a pattern for the file counts. It is "" when
// none has.
//
// Specification: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
func licenceIn(text, file string) string {
	licence := ""
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		fields := fieldsOf(paragraph)
		for pattern := range strings.FieldsSeq(fields["Files"]) {
			if matchesFile(pattern, file) {
				name, _, _ := strings.Cut(fields["License"], "\n")
				licence = strings.TrimSpace(name)
			}
		}
	}
	return licence
}

// fieldsOf splits a paragraph; a line that starts with a blank goes on with the field
// before.
func fieldsOf(paragraph string) map[string]string {
	fields, last := map[string]string{}, ""
	for line := range strings.Lines(paragraph) {
		name, value, found := strings.Cut(line, ":")
		switch {
		case strings.HasPrefix(line, " "), strings.HasPrefix(line, "\t"):
			fields[last] += line
		case strings.HasPrefix(line, "#"):
		case found:
			last = name
			fields[last] = value
		}
	}
	return fields
}

// matchesFile knows the format's two wildcards, which match slashes too.
func matchesFile(pattern, file string) bool {
	expression := regexp.QuoteMeta(pattern)
	expression = strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(expression)
	matched, err := regexp.MatchString("^"+expression+"$", file)
	return err == nil && matched
}
