package encryption

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

// Ensure makes the file with a first key unless it is there. It refuses when the database holds Secrets that some lost
// key encrypts: a new one would read none of them, and the next start would hide the loss.
func Ensure(ctx context.Context, path string, servers []string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}

	if err := refuseEncrypted(ctx, path, servers); err != nil {
		return err
	}

	keys, err := First()
	if err != nil {
		return err
	}

	return save(path, keys)
}

func refuseEncrypted(ctx context.Context, path string, servers []string) error {
	d, err := openDatabase(ctx, servers)
	if err != nil {
		return err
	}

	defer d.close()

	var found *stored

	err = d.secrets(ctx, func(s stored) {
		if s.encrypted {
			found = &s
		}
	})
	if err != nil || found == nil {
		return err
	}

	return fmt.Errorf("find encryption key %s: secret %s/%s in the database is encrypted with it, and %s is missing: restore that file from a backup",
		found.key, found.namespace, found.name, path)
}

func load(path string) (Keys, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Keys{}, fmt.Errorf("read keys: %w", err)
	}

	keys, err := Parse(content)
	if err != nil {
		return Keys{}, fmt.Errorf("%s: %w", path, err)
	}

	return keys, nil
}

func save(path string, keys Keys) error {
	content, err := keys.Marshal()
	if err != nil {
		return err
	}

	return pki.WriteFile(path, content)
}
