// Command ipxe copies the iPXE boot files out of Debian's package, with a manifest
// that says which version they are:
//
//	go run ./assets/debian/ipxe -out assets/images/ipxe
//
// They come from Debian 13 (trixie): the iPXE of Debian 12 cannot start the kernel
// under UEFI. It is a build-time tool: it needs apt and dpkg-deb.
package main

import (
	"context"
	"debug/pe"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
)

// bootFiles are the package's files and the PE machine type of each, 0 for the one
// that is no PE file.
func bootFiles() []bootFile {
	return []bootFile{
		// BIOS: uses the network card through the boot ROM's own driver.
		{"undionly.kpxe", 0},
		// UEFI x64: the firmware's driver of the card it booted from, and iPXE's drivers.
		{"snponly.efi", pe.IMAGE_FILE_MACHINE_AMD64},
		{"ipxe.efi", pe.IMAGE_FILE_MACHINE_AMD64},
		// UEFI arm64.
		{"ipxe-arm64.efi", pe.IMAGE_FILE_MACHINE_ARM64},
	}
}

type bootFile struct {
	name    string
	machine uint16
}

type manifest struct {
	Package debian.Origin `json:"package"`
	Files   []debian.File `json:"files"`
}

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, logger, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "collect iPXE: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, logger *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("ipxe", flag.ContinueOnError)
	out := flags.String("out", "", "directory to write the boot files and manifest.json to")
	cache := flags.String("cache", debian.DefaultCacheDir(), "directory that keeps Debian packages between runs")
	maxAge := flags.Duration("max-age", 24*time.Hour, "look for a newer package when the package index is older than this")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("usage: ipxe -out DIRECTORY [-cache DIRECTORY] [-max-age DURATION]")
	}
	archive, err := debian.New(debian.Config{
		CacheDir:     *cache,
		Suites:       []string{"trixie"},
		Components:   []string{"main"},
		Architecture: "amd64",
		MaxAge:       *maxAge,
		Logger:       logger,
	})
	if err != nil {
		return err
	}
	pkg, err := archive.Fetch(ctx, "ipxe")
	if err != nil {
		return err
	}
	files, err := collect(filepath.Join(pkg.Dir, "usr", "lib", "ipxe"))
	if err != nil {
		return err
	}
	if err := debian.WriteImages(*out, files, func(files []debian.File) any {
		return manifest{Package: pkg.Origin(), Files: files}
	}); err != nil {
		return err
	}
	logger.Info("ipxe collected", "path", *out, "version", pkg.Version)
	return nil
}

// collect reads the boot files and checks that each is for the processor it is for: a
// wrong one would be offered to machines for as long as nobody looks.
func collect(dir string) ([]debian.Content, error) {
	var files []debian.Content
	for _, file := range bootFiles() {
		path := filepath.Join(dir, file.name)
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read boot file: %w: Debian's package ipxe no longer has it", err)
		}
		if err := checkMachine(path, file.machine); err != nil {
			return nil, err
		}
		files = append(files, debian.Content{Name: file.name, Data: data})
	}
	return files, nil
}

func checkMachine(path string, machine uint16) error {
	if machine == 0 {
		return nil
	}
	image, err := pe.Open(path)
	if err != nil {
		return fmt.Errorf("read boot file %s: %w", path, err)
	}
	defer image.Close()
	if image.Machine != machine {
		return fmt.Errorf("check boot file %s: PE machine type %#x, want %#x", path, image.Machine, machine)
	}
	return nil
}
