package appliance

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// structure is a key of the configuration file whose value is more than words:
// it has neither a flag nor a variable.
type structure struct {
	key   string
	to    any // what it writes to in the Config that it is bound to
	read  func(where string, node *yaml.Node) []error
	usage string
}

// structures returns the table of all structures, bound to c.
func structures(c *Config) []structure {
	return []structure{
		{key: webhookServicesKey, to: &c.WebhookServices, read: c.readWebhookServices,
			usage: "a list of `namespace`, `name`, `port` (443 when absent), `address` (host and port), and `caFile` or `caData`: " +
				"where the Services run by which webhooks of further providers are reached. See [providers.md](providers.md)"},
	}
}

func isStructure(key string) bool {
	return slices.ContainsFunc(structures(&Config{}), func(s structure) bool { return s.key == key })
}

// readFields reads a mapping into variables, by key.
func readFields(where string, node *yaml.Node, fields map[string]any) (errs []error) {
	node = resolved(node)
	if node.Kind != yaml.MappingNode {
		return []error{fmt.Errorf("%s: must be a mapping, such as {name: value}", where)}
	}
	seen := map[string]bool{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i].Value, node.Content[i+1]
		to, known := fields[key]
		switch {
		case !known:
			errs = append(errs, fmt.Errorf("%s.%s: unknown key: the known ones are %s", where, key, strings.Join(slices.Sorted(maps.Keys(fields)), ", ")))
		case seen[key]:
			errs = append(errs, fmt.Errorf("%s.%s: is there twice", where, key))
		case value.Decode(to) != nil:
			errs = append(errs, fmt.Errorf("%s.%s: must be %s", where, key, kindOf(to)))
		}
		seen[key] = true
	}
	return errs
}

// kindOf says in words what can be read into a variable.
func kindOf(to any) string {
	if _, ok := to.(*int); ok {
		return "a number"
	}
	return "a word"
}
