package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
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

// archive lays out the initramfs.
func archive(init []byte, chosen []chosenModule) ([]byte, error) {
	index := make([]modules.Module, 0, len(chosen))
	entries := []entry{
		{Name: "dev", Mode: modeDir | 0o755},
		// The kernel opens it for /init before anything is mounted there.
		{Name: "dev/console", Mode: modeChar | 0o600, Major: 5, Minor: 1},
		{Name: "etc", Mode: modeDir | 0o755},
		{Name: "init", Mode: modeFile | 0o755, Content: init},
		{Name: "modules", Mode: modeDir | 0o755},
		{Name: "proc", Mode: modeDir | 0o555},
		{Name: "run", Mode: modeDir | 0o755},
		{Name: "sys", Mode: modeDir | 0o555},
		{Name: "tmp", Mode: modeDir | 0o777},
	}
	for _, module := range chosen {
		index = append(index, module.Module)
		entries = append(entries, entry{Name: "modules/" + module.File, Mode: modeFile | 0o644, Content: module.Content})
	}
	if _, err := modules.NewIndex(index); err != nil {
		return nil, err
	}
	entries = append(entries, entry{Name: modules.IndexFile, Mode: modeFile | 0o644, Content: modules.Format(index)})
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })
	return writeArchive(entries), nil
}

// compress makes a zstd frame. One thread, because the frame's bytes depend on how
// the work is divided.
func compress(content []byte) ([]byte, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, fmt.Errorf("compress initramfs: %w", err)
	}
	compressed := encoder.EncodeAll(content, nil)
	return compressed, errors.Join(encoder.Close())
}
