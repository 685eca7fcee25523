package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

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

// agentArchive lays out the first initramfs.
func agentArchive(init []byte, chosen []chosenModule) ([]byte, error) {
	if _, err := modules.NewIndex(indexed(chosen)); err != nil {
		return nil, err
	}
	return layOut([]entry{
		{Name: "dev", Mode: modeDir | 0o755},
		// The kernel opens it for /init before anything is mounted there.
		{Name: "dev/console", Mode: modeChar | 0o600, Major: 5, Minor: 1},
		{Name: "etc", Mode: modeDir | 0o755},
		{Name: "init", Mode: modeFile | 0o755, Content: init},
		{Name: "proc", Mode: modeDir | 0o555},
		{Name: "run", Mode: modeDir | 0o755},
		{Name: "sys", Mode: modeDir | 0o555},
		{Name: "tmp", Mode: modeDir | 0o777},
	}, moduleEntries("agent", chosen)), nil
}

// driversArchive lays out the second initramfs, whose modules may need those present in
// the first.
func driversArchive(chosen, present []chosenModule, firmware []firmwareFile) ([]byte, error) {
	if _, err := modules.NewIndex(indexed(slices.Concat(present, chosen))); err != nil {
		return nil, err
	}
	return layOut(moduleEntries("drivers", chosen), firmwareEntries(firmware)), nil
}

// layOut writes an archive, sorted by name, which puts directories before what is in
// them.
func layOut(parts ...[]entry) []byte {
	entries := slices.Concat(parts...)
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.Name, b.Name) })
	return writeArchive(entries)
}

func indexed(chosen []chosenModule) []modules.Module {
	list := make([]modules.Module, 0, len(chosen))
	for _, module := range chosen {
		list = append(list, module.Module)
	}
	return list
}

// moduleEntries are modules and their index.
func moduleEntries(initramfs string, chosen []chosenModule) []entry {
	entries := []entry{
		{Name: modules.Dir, Mode: modeDir | 0o755},
		{Name: modules.IndexFile(initramfs), Mode: modeFile | 0o644, Content: modules.Format(indexed(chosen))},
	}
	for _, module := range chosen {
		entries = append(entries, entry{Name: path.Join(modules.Dir, module.File), Mode: modeFile | 0o644, Content: module.Content})
	}
	return entries
}

// firmwareEntries are files where the kernel looks for them, and the directories above.
func firmwareEntries(files []firmwareFile) []entry {
	var entries []entry
	made := map[string]bool{".": true}
	for _, file := range files {
		name := path.Join("lib/firmware", file.Name)
		for dir := path.Dir(name); !made[dir]; dir = path.Dir(dir) {
			made[dir] = true
			entries = append(entries, entry{Name: dir, Mode: modeDir | 0o755})
		}
		entries = append(entries, entry{Name: name, Mode: modeFile | 0o644, Content: file.content})
	}
	return entries
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

// compressAll compresses each of the archives, side by side.
func compressAll(archives ...[]byte) ([][]byte, error) {
	compressed := make([][]byte, len(archives))
	var group errgroup.Group
	for i, archive := range archives {
		group.Go(func() (err error) {
			compressed[i], err = compress(archive)
			return err
		})
	}
	return compressed, group.Wait()
}
