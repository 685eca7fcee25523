package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
)

const agentPackage = "github.com/sidero-appliance/sidero-appliance/registration-agent"

// compileAgent returns the agent as a static program. Nothing of the machine it is
// built on may show: no paths, no version control state, no build id.
func compileAgent(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "sidero-agent-")
	if err != nil {
		return nil, fmt.Errorf("compile agent: %w", err)
	}
	defer os.RemoveAll(dir)
	output := filepath.Join(dir, "init")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", output, agentPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOAMD64=v1", "GOFLAGS=-mod=readonly", "GOEXPERIMENT=")
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile agent: %w: %s", err, bytes.TrimSpace(said))
	}
	return os.ReadFile(output)
}

// agentArchive lays out the first initramfs.
func agentArchive(init []byte, chosen []initramfs.Module) ([]byte, error) {
	entries, err := initramfs.Modules("agent", chosen, nil)
	if err != nil {
		return nil, err
	}
	return initramfs.Archive(initramfs.Init(init), entries), nil
}

// driversArchive lays out the second initramfs, whose modules may need those present in
// the first.
func driversArchive(chosen, present []initramfs.Module, firmware []firmwareFile) ([]byte, error) {
	entries, err := initramfs.Modules("drivers", chosen, present)
	if err != nil {
		return nil, err
	}
	return initramfs.Archive(entries, firmwareEntries(firmware)), nil
}

// firmwareEntries are files where the kernel looks for them.
func firmwareEntries(files []firmwareFile) []initramfs.Entry {
	var entries []initramfs.Entry
	for _, file := range files {
		entries = append(entries, initramfs.Entry{Name: path.Join("lib/firmware", file.Name), Mode: initramfs.ModeFile | 0o644, Content: file.content})
	}
	return initramfs.InFolders(entries)
}

// compressAll compresses each of the archives, side by side.
func compressAll(archives ...[]byte) ([][]byte, error) {
	compressed := make([][]byte, len(archives))
	var group errgroup.Group
	for i, archive := range archives {
		group.Go(func() (err error) {
			compressed[i], err = initramfs.Compress(archive)
			return err
		})
	}
	return compressed, group.Wait()
}
