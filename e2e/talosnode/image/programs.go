package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
)

// programEntries are programs of this computer in /sbin, and the libraries that they are linked with.
func programEntries(ctx context.Context, names []string) ([]initramfs.Entry, error) {
	files := map[string][]byte{}

	for _, name := range names {
		found, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("take program: %w", err)
		}

		libraries, err := exec.CommandContext(ctx, "ldd", found).Output()
		if err != nil {
			return nil, fmt.Errorf("list libraries of %s: %w", found, err)
		}

		sources := map[string]string{"sbin/" + name: found}

		for word := range strings.FieldsSeq(string(libraries)) {
			if filepath.IsAbs(word) {
				sources[strings.TrimPrefix(word, "/")] = word
			}
		}

		for target, source := range sources {
			if files[target], err = os.ReadFile(source); err != nil {
				return nil, fmt.Errorf("take program: %w", err)
			}
		}
	}

	var entries []initramfs.Entry
	for name, content := range files {
		entries = append(entries, initramfs.Entry{Name: name, Mode: initramfs.ModeFile | 0o755, Content: content})
	}

	return initramfs.InFolders(entries), nil
}
