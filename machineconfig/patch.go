package machineconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	jsonpatch "github.com/evanphx/json-patch"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"sigs.k8s.io/yaml"
)

// Operation is one of a JSON patch (RFC 6902).
type Operation struct {
	Op   string `json:"op"`
	Path string `json:"path"`
	// From is where copy and move take the value from.
	From  string          `json:"from,omitempty"`
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
	if m := o.Mistake(); m != nil {
		return nil, fmt.Errorf("%s %s", m.Part, m.Reason)
	}

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

	if _, ok := patch.(jsonpatch.Patch); ok {
		return mergeOperations(configuration, text)
	}

	known, newer := apart(configuration)

	patched, err := configpatcher.Apply(configpatcher.WithBytes(known), []configpatcher.Patch{patch})
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

	if len(newer) == 0 {
		return merged, nil
	}

	return join(append(split(merged), newer...)), nil
}

// apart parts a configuration from its documents of kinds that only a newer version of Talos knows: they stay as they are.
func apart(configuration []byte) (known []byte, newer [][]byte) {
	var all [][]byte

	for _, document := range split(configuration) {
		var h head
		if yaml.Unmarshal(document, &h) == nil && h.Kind != "" && !h.known() {
			newer = append(newer, document)
		} else {
			all = append(all, document)
		}
	}

	if len(newer) == 0 {
		return configuration, nil
	}

	return join(all), newer
}

// known tells whether Talos's machinery knows documents of a kind.
func (h head) known() bool {
	text, err := yaml.Marshal(head{APIVersion: h.APIVersion, Kind: h.Kind})
	if err != nil {
		return false
	}

	_, err = configloader.NewFromBytes(text)

	return err == nil
}

// mergeOperations applies a JSON patch that is in the place of a strategic merge patch. Each operation is looked at before: the
// library panics on some that make no sense.
func mergeOperations(configuration []byte, text string) ([]byte, error) {
	if err := Readable(text); err != nil {
		return nil, err
	}

	operations, err := operationsOf(text)
	if err != nil {
		return nil, err
	}

	for i, operation := range operations {
		if configuration, err = operation.apply(configuration); err != nil {
			return nil, fmt.Errorf("[%d] (%s %s): %w", i, operation.Op, operation.Path, err)
		}
	}

	return configuration, nil
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
