package appliance

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBootKey: the key of boot tokens is made once, for this user only, and a damaged one is refused with what to do.
func TestBootKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "boot-token.key")
	first, err := bootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	again, err := bootKey(path)
	if err != nil || !bytes.Equal(again.Bytes(), first.Bytes()) {
		t.Errorf("another key with the next start: %v", err)
	}
	if err := os.WriteFile(path, first.Bytes()[:3], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bootKey(path); err == nil || !strings.Contains(err.Error(), "remove "+path) {
		t.Errorf("a damaged key: %v", err)
	}
}
