package hall

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sidero-appliance/sidero-appliance/e2e/simulated/image"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
)

// imageFile is the State of a machine whose disk is a file, which others may wipe.
type imageFile string

var _ node.State = imageFile("")

// Load implements node.State.
func (f imageFile) Load() (*node.Installation, error) {
	text, err := image.Read(string(f))
	if text == nil || err != nil {
		return nil, err //nolint:wrapcheck // it says what it is
	}

	i := &node.Installation{}
	if err := json.Unmarshal(text, i); err != nil {
		return nil, fmt.Errorf("load installation: %s: %w", f, err)
	}

	return i, nil
}

// Install implements node.State.
func (f imageFile) Install(i node.Installation) error {
	text, err := json.Marshal(i)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}

	return image.Write(string(f), text) //nolint:wrapcheck // it says what it is
}

// Wipe implements node.State. There is nothing in EPHEMERAL: a hall's nodes write no files.
func (f imageFile) Wipe(labels ...string) error {
	if len(labels) == 0 {
		return image.Erase(string(f)) //nolint:wrapcheck // it says what it is
	}

	i, err := f.Load()
	if i == nil || err != nil || !slices.Contains(labels, node.StatePartition) {
		return err
	}

	i.Configuration = nil

	return f.Install(*i)
}
