package leniency

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// rewrite returns a ServerClass, in JSON or YAML, with its qualifiers in the form that the schema knows, and what to tell
// the client about it. There are no warnings if there was nothing to do.
func rewrite(body []byte) ([]byte, []string) {
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

	qualifiers, warnings := sorted(spec["qualifiers"])
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

// sorted puts qualifiers into the lists that the schema has.
func sorted(qualifiers any) (map[string]any, []string) {
	switch q := qualifiers.(type) {
	case []any:
		lists := map[string]any{}
		for _, entry := range q {
			part, ok := entry.(map[string]any)
			if !ok {
				return nil, nil
			}

			place(lists, part)
		}

		return lists, []string{"spec.qualifiers: is not a list; its entries are taken for " + entries(lists)}
	case map[string]any:
		direct := hardwareParts(q)
		if len(direct) == 0 {
			return nil, nil
		}

		lists := maps.Clone(q)
		for part := range direct {
			delete(lists, part)
		}

		add(lists, "hardware", direct)

		return lists, []string{"spec.qualifiers: " + strings.Join(slices.Sorted(maps.Keys(direct)), ", ") +
			" belong into an entry of spec.qualifiers.hardware, and are taken for one"}
	default:
		return nil, nil
	}
}

// place puts an entry of a list where it belongs: what names lists is part of those, anything else describes hardware.
func place(lists, entry map[string]any) {
	rest := map[string]any{}

	for name, value := range entry {
		switch name {
		case "hardware", "labelSelectors", "cpu", "systemInformation":
			if list, ok := value.([]any); ok {
				for _, element := range list {
					add(lists, name, element)
				}
			} else {
				add(lists, name, value)
			}
		default:
			rest[name] = value
		}
	}

	if len(rest) > 0 {
		add(lists, "hardware", rest)
	}
}

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
	if len(lists) == 0 {
		return "none"
	}

	names := slices.Sorted(maps.Keys(lists))
	for i, name := range names {
		names[i] = "spec.qualifiers." + name
	}

	return strings.Join(names, " and ")
}
