package v1alpha3

import (
	"fmt"
	"regexp"
	"strings"
)

// MachineNamingStrategy tells how machines are named.
type MachineNamingStrategy struct {
	// Template of the names. It may hold {{ .cluster.name }} and {{ .talosControlPlane.name }} and must hold {{ .random }},
	// five letters and digits. When it is absent it is "{{ .talosControlPlane.name }}-{{ .random }}".
	// +optional
	Template string `json:"template,omitempty"`
}

var placeholder = regexp.MustCompile(`{{.*?}}`)

// Name fills in the template. It knows the variables only: the rest of Go's template language is of no use to a name, and
// could keep the API server busy for ever.
func (s MachineNamingStrategy) Name(cluster, controlPlane, random string) (string, error) {
	values := map[string]string{".cluster.name": cluster, ".talosControlPlane.name": controlPlane, ".random": random}

	var unknown string

	name := placeholder.ReplaceAllStringFunc(s.Template, func(found string) string {
		value, known := values[strings.TrimSpace(found[2:len(found)-2])]
		if !known {
			unknown = found
		}

		return value
	})

	if unknown != "" {
		return "", fmt.Errorf("fill in machine name: %s is not one of {{ .cluster.name }}, {{ .talosControlPlane.name }}, {{ .random }}", unknown)
	}

	return name, nil
}
