package machineconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	jsonpatch "github.com/evanphx/json-patch"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"sigs.k8s.io/yaml"
)

// Operation is one of a JSON patch (RFC 6902).
type Operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Patches are what their owner changes in configurations: first the operations, then the strategic merge patches of Talos.
type Patches struct {
	Operations []Operation
	Strategic  []string
}

// separator parts the documents of a configuration. Within a document it would be indented.
var separator = regexp.MustCompile(`(?m)^---[ \t]*(?:#.*)?\r?\n?`)

// Patch changes a configuration. The error names the patch that does not fit, and its path.
func Patch(configuration []byte, patches Patches) ([]byte, error) {
	var err error

	for _, step := range patches.steps() {
		if configuration, err = step.apply(configuration); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}

	return configuration, nil
}

// step is a patch with the name that errors know it by.
type step struct {
	name  string
	apply func([]byte) ([]byte, error)
}

func (p Patches) steps() []step {
	var steps []step

	for i, operation := range p.Operations {
		name := fmt.Sprintf("configPatches[%d] (%s %s)", i, operation.Op, operation.Path)
		steps = append(steps, step{name, operation.apply})
	}

	for i, text := range p.Strategic {
		apply := func(configuration []byte) ([]byte, error) { return merge(configuration, text) }
		steps = append(steps, step{fmt.Sprintf("strategicPatches[%d]", i), apply})
	}

	return steps
}

func (o Operation) apply(configuration []byte) ([]byte, error) {
	if (o.Op == "add" || o.Op == "replace" || o.Op == "test") && o.Value == nil {
		o.Value = json.RawMessage("null")
	}

	text, err := json.Marshal([]Operation{o})
	if err != nil {
		return nil, errors.New("the value is no JSON")
	}

	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		return nil, discreet(err)
	}

	return operate(configuration, patch)
}

// operate applies operations to the document that has no kind: Talos's machinery refuses them for configurations of several
// documents, which those for Talos 1.12 and newer are, though people's paths are always of that one.
func operate(configuration []byte, patch jsonpatch.Patch) ([]byte, error) {
	documents := split(configuration)

	for i, document := range documents {
		var head struct {
			Kind string `json:"kind"`
		}

		if err := yaml.Unmarshal(document, &head); err != nil {
			return nil, errors.New("the configuration is no YAML")
		}

		if head.Kind != "" {
			continue
		}

		text, err := yaml.YAMLToJSON(document)
		if err != nil {
			return nil, errors.New("the configuration is no YAML")
		}

		if text, err = patch.Apply(text); err != nil {
			return nil, fmt.Errorf("does not fit the configuration: %w", discreet(err))
		}

		if documents[i], err = yaml.JSONToYAML(text); err != nil {
			return nil, errors.New("the result is no YAML")
		}

		return join(documents), nil
	}

	return nil, errors.New("the configuration has no document that JSON patches can be applied to: all have a kind")
}

// merge applies a strategic merge patch; Talos takes JSON patches in its place.
func merge(configuration []byte, text string) ([]byte, error) {
	patch, err := configpatcher.LoadPatch([]byte(text)) // not LoadPatches, which takes the names of files too
	if err != nil {
		return nil, discreet(err)
	}

	if operations, ok := patch.(jsonpatch.Patch); ok {
		return operate(configuration, operations)
	}

	patched, err := configpatcher.Apply(configpatcher.WithBytes(configuration), []configpatcher.Patch{patch})
	if err != nil {
		return nil, fmt.Errorf("does not fit the configuration: %w", discreet(err))
	}

	var made config.Provider
	if made, err = patched.Config(); err != nil {
		return nil, discreet(err)
	}

	merged, err := made.EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", discreet(err))
	}

	return merged, nil
}

// split parts a configuration into its documents, of which none is empty.
func split(configuration []byte) [][]byte {
	var documents [][]byte

	for _, document := range separator.Split(string(configuration), -1) {
		var content any
		if err := yaml.Unmarshal([]byte(document), &content); err != nil || content != nil {
			documents = append(documents, []byte(document))
		}
	}

	return documents
}

func join(documents [][]byte) []byte {
	var all []byte

	for i, document := range documents {
		if i > 0 {
			all = append(all, "---\n"...)
		}

		all = append(all, document...)
		if len(document) > 0 && document[len(document)-1] != '\n' {
			all = append(all, '\n')
		}
	}

	return all
}
