package appliance

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// holderFile is in the data directory; it tells this appliance from others of the same host name.
	holderFile = "holder"
	// holderBytes is how long that is before it is written in hexadecimal digits.
	holderBytes = 8
)

// leaseHolder is who holds the Leases of the appliance's controllers: for people the host's name, and what no other appliance has.
func leaseHolder(dataDir string) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("read host name: %w", err)
	}
	id, err := holderID(filepath.Join(dataDir, holderFile))
	if err != nil {
		return "", err
	}
	return "sidero-appliance_" + host + "_" + id, nil
}

// holderID is random, and the same for as long as the file is there.
func holderID(path string) (string, error) {
	kept, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the appliance's id: %w", err)
	}
	id := strings.TrimSpace(string(kept))
	if bytes, err := hex.DecodeString(id); err == nil && len(bytes) == holderBytes {
		return id, nil
	}
	bytes := make([]byte, holderBytes)
	rand.Read(bytes) //nolint:errcheck // it never fails
	id = hex.EncodeToString(bytes)
	if err := os.WriteFile(path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the appliance's id: %w", err)
	}
	return id, nil
}
