package machineconfig

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	configVersion = "v1alpha1"
	nodeLabels    = "node-labels"
)

// ErrUnknownType is for a configuration without a document of the version that upstream knows.
var ErrUnknownType = errors.New("unknown config type")

// Label has a node register with a label, besides those that it has. The arguments of kubelets may be texts or, in Talos 1.13 and
// newer, lists of them.
func Label(configuration []byte, label string) ([]byte, error) {
	documents := split(configuration)

	for i, text := range documents {
		var document map[string]any
		if err := yaml.Unmarshal(text, &document); err != nil {
			return nil, errors.New("the configuration is no YAML")
		}

		if kind, ok := document["kind"].(string); ok && kind != "" {
			continue
		}

		if document["version"] != configVersion {
			return nil, ErrUnknownType
		}

		if err := addLabel(document, label); err != nil {
			return nil, err
		}

		written, err := yaml.Marshal(document)
		if err != nil {
			return nil, errors.New("the configuration cannot be written")
		}

		documents[i] = written

		return join(documents), nil
	}

	return nil, ErrUnknownType
}

func addLabel(document map[string]any, label string) error {
	at := document

	for _, key := range []string{"machine", "kubelet", "extraArgs"} {
		below, ok := at[key].(map[string]any)
		if !ok && at[key] != nil {
			return fmt.Errorf("%s of the configuration is no mapping", key)
		}

		if below == nil {
			below = map[string]any{}
			at[key] = below
		}

		at = below
	}

	switch known := at[nodeLabels].(type) {
	case nil:
		at[nodeLabels] = label
	case string:
		at[nodeLabels] = joined(known, label)
	case []any:
		at[nodeLabels] = append(known, label)
	default:
		return fmt.Errorf("machine.kubelet.extraArgs.%s of the configuration is neither a text nor a list", nodeLabels)
	}

	return nil
}

// Labelled tells whether a node registers with a label, by its configuration.
func Labelled(configuration []byte, label string) bool {
	for _, text := range split(configuration) {
		var document struct {
			Kind    string `json:"kind"`
			Machine struct {
				Kubelet struct {
					ExtraArgs map[string]any `json:"extraArgs"`
				} `json:"kubelet"`
			} `json:"machine"`
		}
		if err := yaml.Unmarshal(text, &document); err != nil || document.Kind != "" {
			continue
		}

		var lists []any

		switch labels := document.Machine.Kubelet.ExtraArgs[nodeLabels].(type) {
		case string:
			lists = []any{labels}
		case []any:
			lists = labels
		}

		for _, list := range lists {
			if text, ok := list.(string); ok && slices.Contains(strings.Split(text, ","), label) {
				return true
			}
		}
	}

	return false
}

func joined(known, label string) string {
	if known == "" {
		return label
	}

	return known + "," + label
}
