package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestManifestsAreFresh renders the manifests again and compares.
func TestManifestsAreFresh(t *testing.T) {
	fresh, err := render()
	if err != nil {
		t.Fatal(err)
	}

	committed, err := filepath.Glob("../*.json")
	if err != nil || len(committed) != len(fresh) || len(fresh) == 0 {
		t.Errorf("%d manifests are committed, %d were rendered: run make generate (%v)", len(committed), len(fresh), err)
	}

	for name, want := range fresh {
		if got, err := os.ReadFile(filepath.Join("..", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run make generate (%v)", name, err)
		}
	}
}
