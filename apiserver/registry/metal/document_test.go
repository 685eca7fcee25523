package metal

import (
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power/webhook"
)

// TestDocumentOfPower: what docs/power.md has people apply is valid, and of the driver that it is an example of; none is left out.
func TestDocumentOfPower(t *testing.T) {
	seen := map[v1alpha2.PowerDriver]bool{v1alpha2.PowerAPI: true} // of virtual machines, which Sidero's own documents show

	text := examples(t, "../../../docs/power.md", func(kind, manifest string) {
		if kind != "Server" {
			return
		}

		seen[valid(t, manifest, validateServer).Spec.PowerDriver()] = true
	})

	if strings.Contains(text, "accepted:") {
		t.Error("who applies an example must not take the acceptance from a server")
	}

	for _, driver := range v1alpha2.PowerDrivers() {
		if !seen[driver] || !strings.Contains(text, "`"+string(driver)+"`") {
			t.Errorf("the driver %s has no example, or is not in the table", driver)
		}
	}

	for _, preset := range webhook.Presets() {
		if !strings.Contains(text, "`"+preset+"`") {
			t.Errorf("the preset %s is not mentioned", preset)
		}
	}
}

// TestDocumentOfAcceptance: the class of docs/servers.md that accepts is valid.
func TestDocumentOfAcceptance(t *testing.T) {
	accepts := false

	examples(t, "../../../docs/servers.md", func(kind, manifest string) {
		if kind != "ServerClass" {
			return
		}

		accepts = accepts || valid(t, manifest, validateServerClass).Spec.Accept
	})

	if !accepts {
		t.Error("no class accepts")
	}
}

// valid is the object of a manifest, in which nothing is unknown or wrong.
func valid[T any](t *testing.T, manifest string, validate func(*T) field.ErrorList) *T {
	t.Helper()

	object := new(T)
	if err := yaml.UnmarshalStrict([]byte(manifest), object); err != nil {
		t.Errorf("%s\n%v", manifest, err)
	}

	if errs := validate(object); len(errs) > 0 {
		t.Errorf("%s\n%v", manifest, errs)
	}

	return object
}

// examples visits the manifests of a document, and returns its text.
func examples(t *testing.T, path string, visit func(kind, manifest string)) string {
	t.Helper()

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for manifest := range strings.SplitSeq(block, "---\n") {
			var head struct {
				Kind string `json:"kind"`
			}
			if err := yaml.Unmarshal([]byte(manifest), &head); err != nil {
				t.Errorf("%s\n%v", manifest, err)
			}

			visit(head.Kind, manifest)
		}
	}

	return string(text)
}
