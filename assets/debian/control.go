package debian

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// Entry is what a signed index says about one binary package.
type Entry struct {
	Name         string
	Version      string
	Architecture string
	// Source and SourceVersion name the Debian source package, for licence notices.
	Source        string
	SourceVersion string
	// BuiltUsing is the control field of that name: for a signed kernel the source
	// package that really holds the code.
	BuiltUsing string
	// Depends are the package names in the field of that name, each with its first
	// alternative only and without version.
	Depends []string
	// SHA256 is the digest of the .deb, in hexadecimal.
	SHA256 string
}

// parseEntry reads the first stanza of apt-cache show's output
// (deb-control(5), Debian Policy 5.1).
func parseEntry(text []byte) (Entry, error) {
	fields := firstStanza(text)
	entry := Entry{
		Name:         fields["Package"],
		Version:      fields["Version"],
		Architecture: fields["Architecture"],
		BuiltUsing:   fields["Built-Using"],
		Depends:      dependencyNames(fields["Depends"]),
		SHA256:       strings.ToLower(fields["SHA256"]),
	}
	for field, value := range map[string]string{
		"Package": entry.Name, "Version": entry.Version, "Architecture": entry.Architecture, "SHA256": entry.SHA256,
	} {
		if value == "" {
			return Entry{}, fmt.Errorf("parse package index entry: field %s is missing", field)
		}
	}
	entry.Source, entry.SourceVersion = sourceOf(fields["Source"], entry)
	return entry, nil
}

// sourceOf splits "name (version)"; either part is left out where it equals the
// binary package's.
func sourceOf(field string, binary Entry) (name, version string) {
	name, version = binary.Name, binary.Version
	if field == "" {
		return name, version
	}
	name, rest, found := strings.Cut(field, " ")
	if found {
		version = strings.Trim(rest, " ()")
	}
	return name, version
}

func firstStanza(text []byte) map[string]string {
	fields := map[string]string{}
	last := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.TrimSpace(line) == "":
			if len(fields) > 0 {
				return fields
			}
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] += "\n" + strings.TrimSpace(line)
			}
		default:
			name, value, _ := strings.Cut(line, ":")
			last = name
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

func dependencyNames(field string) []string {
	var names []string
	for clause := range strings.SplitSeq(field, ",") {
		first, _, _ := strings.Cut(clause, "|")
		name, _, _ := strings.Cut(strings.TrimSpace(first), " ")
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}
