package image_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/e2e/simulated/image"
)

// TestImage: a system is there until the first bytes are cleared, and what comes after it on the disk stays.
func TestImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	data := bytes.Repeat([]byte("data"), 1000)

	if content, err := image.Read(path); content != nil || err != nil || image.Boots(path) {
		t.Errorf("a missing disk keeps %q, %v", content, err)
	}

	if err := os.WriteFile(path, data, 0o600); err != nil || image.Boots(path) {
		t.Fatalf("data boots: %v", err)
	}

	for _, text := range []string{"a longer text", "", "short"} {
		if err := image.Write(path, []byte(text)); err != nil {
			t.Fatal(err)
		}

		if content, err := image.Read(path); err != nil || string(content) != text || !image.Boots(path) {
			t.Errorf("the disk keeps %q, %v, want %q", content, err, text)
		}
	}

	if err := image.Erase(path); err != nil || image.Boots(path) {
		t.Errorf("an erased disk boots: %v", err)
	}

	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after[100:], data[100:]) {
		t.Errorf("the rest of the disk has changed: %v", err)
	}

	if err := image.Write(path, make([]byte, 5<<20)); err == nil {
		t.Error("it keeps more than there may be")
	}
}

// TestCut: a disk that ends within what the system keeps has none to start.
func TestCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, image.Header(make([]byte, 100))[:50], 0o600); err != nil {
		t.Fatal(err)
	}

	if _, err := image.Read(path); err == nil || image.Boots(path) {
		t.Errorf("it boots: %v", err)
	}
}
