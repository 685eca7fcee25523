package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Directory is a State in a folder, for nodes that are processes.
type Directory struct {
	// Path of the folder, which is made when it is missing, and Root as in Config.
	Path, Root string
}

var _ State = Directory{}

func (d Directory) file() string { return filepath.Join(d.Path, "installation.json") }

// Load implements State.
func (d Directory) Load() (*Installation, error) {
	text, err := os.ReadFile(d.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}

	if err != nil {
		return nil, fmt.Errorf("load installation: %w", err)
	}

	i := &Installation{}
	if err := json.Unmarshal(text, i); err != nil {
		return nil, fmt.Errorf("load installation: %s: %w", d.file(), err)
	}

	return i, nil
}

// Install implements State.
func (d Directory) Install(i Installation) error {
	text, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}

	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return fmt.Errorf("install: %w", err)
	}

	fresh := d.file() + ".new"
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		return fmt.Errorf("install: %w", err)
	}

	if err := os.Rename(fresh, d.file()); err != nil {
		return fmt.Errorf("install: %w", err)
	}

	return nil
}

// Wipe implements State.
func (d Directory) Wipe(labels ...string) error {
	if len(labels) == 0 || slices.Contains(labels, EphemeralPartition) {
		if err := empty(d.Root); err != nil {
			return fmt.Errorf("wipe: %w", err)
		}
	}

	if len(labels) == 0 {
		if err := os.RemoveAll(d.file()); err != nil {
			return fmt.Errorf("wipe: %w", err)
		}

		return nil
	}

	if !slices.Contains(labels, StatePartition) {
		return nil
	}

	i, err := d.Load()
	if i == nil || err != nil {
		return err
	}

	i.Configuration = nil

	return d.Install(*i)
}

// empty removes what is in a folder, and leaves the folder.
func empty(folder string) error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	for _, entry := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(folder, entry.Name())))
	}

	return err
}
