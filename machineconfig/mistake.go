package machineconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/config/configpatcher"
	"go.yaml.in/yaml/v4"
	jsonyaml "sigs.k8s.io/yaml"
)

// Mistake is why an operation can be applied to no configuration at all.
type Mistake struct {
	// Part is the member of the operation that is wrong: op, path, from or value.
	Part string
	// Text is what it says. It is empty for a value, which may be a secret.
	Text   string
	Reason string
}

// Mistake finds why an operation can be applied to nothing. It is nil where a configuration can be thought of that it fits.
func (o Operation) Mistake() *Mistake {
	takes := o.Op == "copy" || o.Op == "move"

	switch {
	case !slices.Contains([]string{"add", "copy", "move", "remove", "replace", "test"}, o.Op):
		return &Mistake{"op", o.Op, `must be one of "add", "copy", "move", "remove", "replace", "test"`}
	case o.Path != "" && !strings.HasPrefix(o.Path, "/"):
		return &Mistake{"path", o.Path, "must begin with /"}
	case o.Path == "" && o.Op != "replace" && o.Op != "test":
		return &Mistake{"path", o.Path, "is the whole configuration, which can only be replaced"}
	case o.Path == "" && o.Op == "replace" && !bytes.HasPrefix(bytes.TrimSpace(o.Value), []byte("{")):
		return &Mistake{"value", "", "is no mapping, and would be the whole configuration"}
	case takes && o.From == "":
		return &Mistake{"op", o.Op, `takes a value from another place, and nothing says from where: use "add" with the value itself`}
	case takes && !strings.HasPrefix(o.From, "/"):
		return &Mistake{"from", o.From, "must begin with /"}
	default:
		return nil
	}
}

// Readable tells why a strategic merge patch, or the JSON patch that may be in its place, can be applied to no configuration at
// all. The error holds none of its values.
func Readable(text string) error {
	documents, err := documentsOf(text)

	switch {
	case err != nil:
		return fmt.Errorf("is no YAML: %w", discreet(err))
	case len(documents) == 0:
		return errors.New("is empty")
	case len(documents) == 1 && documents[0].Kind == yaml.SequenceNode:
		return readableOperations(text)
	}

	for i, document := range documents {
		if document.Kind != yaml.MappingNode {
			return fmt.Errorf("document %d is no mapping", i+1)
		}
	}

	return nil
}

// documentsOf are the roots of a text's documents, without those that are empty.
func documentsOf(text string) ([]*yaml.Node, error) {
	var documents []*yaml.Node

	for decoder := yaml.NewDecoder(strings.NewReader(plain(text))); ; {
		var document yaml.Node

		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}

		if err != nil {
			return nil, err //nolint:wrapcheck // wrapped by who calls
		}

		if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
			continue
		}

		if root := document.Content[0]; root.Kind != yaml.ScalarNode || root.Tag != "!!null" {
			documents = append(documents, root)
		}
	}
}

// plain writes JSON without what this YAML library stumbles over, such as tabs. Other texts stay as they are.
func plain(text string) string {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return text
	}

	written, err := json.Marshal(value)
	if err != nil {
		return text
	}

	return string(written)
}

// operationsOf are those of a JSON patch, in JSON or YAML.
func operationsOf(text string) ([]Operation, error) {
	var operations []Operation
	if json.Unmarshal([]byte(text), &operations) == nil || jsonyaml.Unmarshal([]byte(text), &operations) == nil {
		return operations, nil
	}

	return nil, errors.New("is a list, and not one of operations of a JSON patch")
}

func readableOperations(text string) error {
	operations, err := operationsOf(text)
	if err != nil {
		return err
	}

	for i, operation := range operations {
		if m := operation.Mistake(); m != nil && m.Text != "" {
			return fmt.Errorf("[%d].%s: %.64q %s", i, m.Part, m.Text, m.Reason)
		} else if m != nil {
			return fmt.Errorf("[%d].%s: %s", i, m.Part, m.Reason)
		}
	}

	return nil
}

// Understood tells why Talos's machinery does not take a patch that is readable. It may be for a Talos that is newer than that. The
// error holds none of its values.
func Understood(text string) error {
	if _, err := configpatcher.LoadPatch([]byte(text)); err != nil {
		return discreet(err)
	}

	return nil
}
