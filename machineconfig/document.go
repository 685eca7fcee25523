package machineconfig

import (
	"fmt"
	"slices"

	"github.com/siderolabs/talos/pkg/machinery/config"
	"sigs.k8s.io/yaml"
)

// Document is one that a configuration has beside the machine's own (Talos 1.5 and newer).
type Document struct {
	Kind string
	// Name is that of kinds of which a configuration may have several.
	Name string
	// Fields are all others than apiVersion, kind and name.
	Fields map[string]string
}

// head is by what a document is known.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name,omitempty"`
}

// ReadsDocuments tells whether a version of Talos reads configurations of several documents. One that is empty, or that nobody can
// read, is the newest known.
func ReadsDocuments(talosVersion string) bool {
	contract, err := config.ParseContractFromVersion(talosVersion)

	return err != nil || !config.TalosVersion1_5.Greater(contract)
}

// Append puts documents behind those of a configuration, as text: nothing else in it is read or written, so it may be of a newer
// version of Talos than anything here. A document of the same kind and name that is there already stays as it is.
func Append(configuration []byte, documents ...Document) ([]byte, error) {
	all := split(configuration)
	known := heads(all)

	for _, document := range documents {
		if slices.ContainsFunc(known, func(h head) bool { return h.Kind == document.Kind && h.Name == document.Name }) {
			continue
		}

		text, err := document.text()
		if err != nil {
			return nil, err
		}

		all = append(all, text)
	}

	return join(all), nil
}

// Has tells whether a configuration has a document of a kind.
func Has(configuration []byte, kind string) bool {
	return slices.ContainsFunc(heads(split(configuration)), func(h head) bool { return h.Kind == kind })
}

func heads(documents [][]byte) []head {
	var all []head

	for _, document := range documents {
		var h head
		if yaml.Unmarshal(document, &h) == nil { // one that is no YAML has no kind
			all = append(all, h)
		}
	}

	return all
}

func (d Document) text() ([]byte, error) {
	text, err := yaml.Marshal(head{APIVersion: "v1alpha1", Kind: d.Kind, Name: d.Name})
	if err != nil {
		return nil, fmt.Errorf("write document %s: %w", d.Kind, err)
	}

	if len(d.Fields) == 0 {
		return text, nil
	}

	fields, err := yaml.Marshal(d.Fields)
	if err != nil {
		return nil, fmt.Errorf("write document %s: %w", d.Kind, err)
	}

	return append(text, fields...), nil
}
