package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// WriteFile replaces a file that only its owner may read, at once and durably. A file that is replaced keeps its owner:
// root must not take a key from the user that the appliance runs as.
func WriteFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("create file: %w", err)
	}

	defer os.Remove(temporary.Name()) //nolint:errcheck // gone already when all went well

	err = keepOwner(path, temporary)
	if err == nil {
		_, err = temporary.Write(content)
	}

	if err == nil {
		err = temporary.Sync()
	}

	if closed := temporary.Close(); err == nil {
		err = closed
	}

	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}

	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}

	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}

	return nil
}

func keepOwner(path string, temporary *os.File) error {
	have, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	if err != nil {
		return err
	}

	owner, ok := have.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}

	return temporary.Chown(int(owner.Uid), int(owner.Gid))
}

// syncDirectory makes a rename last: a key that is gone after a power cut takes everything with it that it encrypted.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}

	return errors.Join(directory.Sync(), directory.Close())
}
