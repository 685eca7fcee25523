package appliance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseFile reads a configuration file: one YAML mapping of the settings' keys.
// A key that does not exist, or stands there twice, is an error, because it
// means that somebody's intention has no effect.
func parseFile(path string, data []byte) ([]given, []error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) {
		return nil, nil // nothing but comments
	}
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", path, err)}
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, []error{fmt.Errorf("%s: more than one YAML document: the configuration is one", path)}
	}
	root := document.Content[0]
	if isNull(root) {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, []error{fmt.Errorf("%s:%d: must be a list of lines such as dataDir: /srv/appliance", path, root.Line)}
	}
	return parseMapping(path, root)
}

func parseMapping(path string, root *yaml.Node) (layer []given, errs []error) {
	lines := map[string]int{}
	for i := 0; i < len(root.Content); i += 2 {
		name, node := root.Content[i], root.Content[i+1]
		where := fmt.Sprintf("%s:%d: %s", path, name.Line, name.Value)
		if first, twice := lines[name.Value]; twice {
			errs = append(errs, fmt.Errorf("%s: is there twice, first on line %d", where, first))
			continue
		}
		lines[name.Value] = name.Line
		if isStructure(name.Value) {
			layer = append(layer, given{flag: name.Value, node: resolved(node), where: where})
			continue
		}
		s, err := settingFor(name.Value)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
			continue
		}
		value, problem := scalar(s, node)
		if problem != "" {
			errs = append(errs, fmt.Errorf("%s%s", where, problem))
			continue
		}
		if !isNull(node) {
			layer = append(layer, given{flag: s.flag, value: value, where: where})
		}
	}
	return layer, errs
}

// settingFor finds the setting with this key. A flag's name in place of a key
// is a likely mistake, so the error says what was meant.
func settingFor(key string) (setting, error) {
	plain := strings.NewReplacer("-", "", "_", "")
	for _, s := range settings(&Config{}) {
		if s.notFile {
			continue
		}
		if s.key() == key {
			return s, nil
		}
		if strings.EqualFold(plain.Replace(s.key()), plain.Replace(key)) {
			return setting{}, fmt.Errorf("unknown key: did you mean %s?", s.key())
		}
	}
	return setting{}, errors.New("unknown key: docs/flags.md lists the known ones")
}

// scalar is the value as text; a list's entries are joined by commas. The
// problem starts with what follows the key in its path.
func scalar(s setting, node *yaml.Node) (value, problem string) {
	node = resolved(node)
	switch {
	case node.Kind == yaml.ScalarNode:
		return node.Value, ""
	case node.Kind == yaml.MappingNode:
		return "", ": must be a value, not a mapping"
	case s.value.Type() != (&words{}).Type():
		return "", ": must be one value, not a list"
	}
	var entries []string
	for i, entry := range node.Content {
		if entry.Kind != yaml.ScalarNode || isNull(entry) {
			return "", fmt.Sprintf("[%d]: must be a word", i)
		}
		entries = append(entries, entry.Value)
	}
	return strings.Join(entries, ","), ""
}

// resolved is what a node stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
