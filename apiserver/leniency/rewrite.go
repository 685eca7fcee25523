package leniency

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha1"
)

// rewrite returns a ServerClass, in JSON or YAML, with its qualifiers in the form that the schema knows, and what to tell
// the client about it. There are no warnings if there was nothing to do.
func rewrite(body []byte, f form) ([]byte, []string) {
	if !bytes.Contains(body, []byte("qualifiers")) {
		return body, nil
	}

	object, err := decode(body)
	if err != nil {
		return body, nil
	}

	spec, ok := object["spec"].(map[string]any)
	if !ok {
		return body, nil
	}

	qualifiers, warnings := f.sorted(spec["qualifiers"])
	if warnings == nil {
		return body, nil
	}

	spec["qualifiers"] = qualifiers

	rewritten, err := json.Marshal(object)
	if err != nil {
		return body, nil
	}

	return rewritten, warnings
}

// decode keeps numbers as they are written.
func decode(body []byte) (map[string]any, error) {
	text, err := yaml.YAMLToJSONStrict(body)
	if err != nil {
		return nil, fmt.Errorf("read YAML: %w", err)
	}

	var object map[string]any

	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()

	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}

	return object, nil
}

// form is what a body is.
type form struct {
	// lists are the names that a version has for its lists, by the names that are used for their entries.
	lists map[string]string
	// merge is true for a merge patch (RFC 7396), where what is absent stays.
	merge bool
}

// listsOf are the lists of a version of ServerClass.
func listsOf(version string) map[string]string {
	if version == v1alpha1.GroupVersion.Version {
		return map[string]string{
			"labelSelectors": "labelSelectors", "cpu": "cpu", "systemInformation": "systemInformation", "system": "systemInformation",
		}
	}

	return map[string]string{"labelSelectors": "labelSelectors", "hardware": "hardware", "": "hardware"}
}

// sorted puts qualifiers into the lists that the schema has.
func (f form) sorted(qualifiers any) (map[string]any, []string) {
	switch q := qualifiers.(type) {
	case []any:
		lists := f.empty()

		for _, entry := range q {
			part, ok := entry.(map[string]any)
			if !ok || !f.place(lists, part) {
				return nil, nil
			}
		}

		return lists, []string{"spec.qualifiers: is not a list; its entries are taken for " + entries(lists)}
	case map[string]any:
		return f.direct(q)
	default:
		return nil, nil
	}
}

// empty are no lists, which in a merge patch must be said.
func (f form) empty() map[string]any {
	lists := map[string]any{}

	if f.merge {
		for _, name := range f.lists {
			lists[name] = nil
		}
	}

	return lists
}

// place puts an entry of a list where it belongs: what names lists is part of those, anything else describes hardware. It
// tells whether there is a place.
func (f form) place(lists, entry map[string]any) bool {
	rest := map[string]any{}

	for name, value := range entry {
		list, known := f.lists[name]

		switch elements, many := value.([]any); {
		case !known:
			rest[name] = value
		case many:
			for _, element := range elements {
				add(lists, list, element)
			}
		default:
			add(lists, list, value)
		}
	}

	if len(rest) == 0 {
		return true
	}

	hardware, known := f.lists[""]
	if known {
		add(lists, hardware, rest)
	}

	return known
}

// direct moves parts of hardware that are outside of its list into it. A part that is null says only that there is none: so
// does kubectl when somebody has moved it.
func (f form) direct(qualifiers map[string]any) (map[string]any, []string) {
	hardware, known := f.lists[""]
	parts := hardwareParts(qualifiers)

	if !known || len(parts) == 0 {
		return nil, nil
	}

	lists := maps.Clone(qualifiers)
	said := map[string]any{}

	for name, value := range parts {
		delete(lists, name)

		if value != nil {
			said[name] = value
		}
	}

	if len(said) == 0 {
		return lists, []string{"spec.qualifiers: " + names(parts) + " is not there, and so is not removed"}
	}

	add(lists, hardware, said)

	return lists, []string{"spec.qualifiers: " + names(said) + " belong into an entry of spec.qualifiers.hardware, and are taken for one"}
}

func names(parts map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(parts)), ", ") }

func add(lists map[string]any, name string, element any) {
	list, _ := lists[name].([]any)
	lists[name] = append(list, element)
}

// hardwareParts are those qualifiers that describe hardware outside of its list.
func hardwareParts(qualifiers map[string]any) map[string]any {
	parts := map[string]any{}

	for _, name := range []string{"system", "compute", "memory", "storage", "network"} {
		if value, found := qualifiers[name]; found {
			parts[name] = value
		}
	}

	return parts
}

func entries(lists map[string]any) string {
	var filled []string

	for _, name := range slices.Sorted(maps.Keys(lists)) {
		if lists[name] != nil {
			filled = append(filled, "spec.qualifiers."+name)
		}
	}

	return cmp.Or(strings.Join(filled, " and "), "none")
}
