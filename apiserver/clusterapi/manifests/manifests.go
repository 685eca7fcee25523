// Package manifests holds Cluster API's CustomResourceDefinitions and webhook configurations, as the release of the module
// that go.mod names has them.
package manifests

import (
	"embed"
	"fmt"
)

//go:generate go run ./render .

//go:embed *.x-k8s.io.json
var definitions embed.FS

//go:embed *-webhook-configuration.json
var webhooks embed.FS

// Definitions returns the CustomResourceDefinitions in JSON.
func Definitions() ([][]byte, error) { return read(definitions) }

// WebhookConfigurations returns the configurations of the webhooks in JSON.
func WebhookConfigurations() ([][]byte, error) { return read(webhooks) }

// Has tells whether there is a definition or a configuration of a name.
func Has(name string) bool {
	for _, files := range []embed.FS{definitions, webhooks} {
		if file, err := files.Open(name + ".json"); err == nil {
			_ = file.Close()

			return true
		}
	}

	return false
}

func read(files embed.FS) ([][]byte, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list manifests: %w", err)
	}

	contents := make([][]byte, len(entries))
	for i, entry := range entries {
		if contents[i], err = files.ReadFile(entry.Name()); err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
	}

	return contents, nil
}
