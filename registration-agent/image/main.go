// Command image builds what an unclaimed machine boots: Debian's generic kernel, an
// initramfs with the registration agent as /init and the kernel modules it loads on a
// virtual machine, and one with the modules and the firmware that others need.
//
//	go run ./registration-agent/image -out assets/images/agent-amd64
//
// It is a build-time tool: it needs the Go tool chain, apt and dpkg-deb. The same
// packages, sources and Go version give the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
)

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, logger, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "build agent image: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, logger *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	out := flags.String("out", "", "directory to write the images and manifest.json to")
	cache := flags.String("cache", debian.DefaultCacheDir(), "directory that keeps Debian packages between runs")
	maxAge := flags.Duration("max-age", 24*time.Hour, "look for a newer kernel when the package index is older than this")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("usage: image -out DIRECTORY [-cache DIRECTORY] [-max-age DURATION]")
	}
	started := time.Now()
	archives := archives{cache: *cache, maxAge: *maxAge, logger: logger}
	kernel, firmware, err := archives.fetch(ctx)
	if err != nil {
		return err
	}
	if err := build(ctx, kernel, firmware, *out); err != nil {
		return err
	}
	logger.Info("agent image built", "path", *out, "kernel", kernel.Release, "duration", time.Since(started).Round(time.Millisecond))
	return nil
}

// archives are the parts of Debian's that the image is made from.
type archives struct {
	cache  string
	maxAge time.Duration
	logger *slog.Logger
}

// fetch downloads the packages. The firmware comes from a newer release than the kernel:
// in Debian 12 the copyright file of the packages leaves out some of their files.
func (a archives) fetch(ctx context.Context) (initramfs.Kernel, []debian.Package, error) {
	stable, err := a.open([]string{"bookworm", "bookworm-security"}, "main")
	if err != nil {
		return initramfs.Kernel{}, nil, err
	}
	linux, err := initramfs.FetchKernel(ctx, stable)
	if err != nil {
		return initramfs.Kernel{}, nil, err
	}
	newer, err := a.open([]string{"trixie"}, "non-free-firmware")
	if err != nil {
		return initramfs.Kernel{}, nil, err
	}
	firmware, err := fetchFirmware(ctx, newer)
	return linux, firmware, err
}

func (a archives) open(suites []string, component string) (*debian.Archive, error) {
	return debian.New(debian.Config{
		CacheDir:     a.cache,
		Suites:       suites,
		Components:   []string{component},
		Architecture: "amd64",
		MaxAge:       a.maxAge,
		Logger:       a.logger,
	})
}

// build writes the kernel, the two initramfs, the copyright files of the packages and
// the manifest.
func build(ctx context.Context, kernel initramfs.Kernel, packages []debian.Package, out string) error {
	contents, err := choose(kernel.Modules, packages)
	if err != nil {
		return err
	}
	init, err := compileAgent(ctx)
	if err != nil {
		return err
	}
	agent, err := agentArchive(init, contents.modules)
	if err != nil {
		return err
	}
	drivers, err := driversArchive(contents.drivers, contents.modules, contents.firmware)
	if err != nil {
		return err
	}
	compressed, err := compressAll(agent, drivers)
	if err != nil {
		return err
	}
	vmlinuz, err := os.ReadFile(kernel.Vmlinuz)
	if err != nil {
		return err
	}
	files := []debian.Content{{Name: "vmlinuz", Data: vmlinuz}, {Name: agentInitramfs, Data: compressed[0]}, {Name: driversInitramfs, Data: compressed[1]}}
	texts, err := copyrights(append([]debian.Package{kernel.Package}, packages...))
	if err != nil {
		return err
	}
	return debian.WriteImages(out, append(files, texts...), func(files []debian.File) any {
		return newManifest(kernel, packages, contents, files)
	})
}

// contents are what the two initramfs hold beside the agent.
type contents struct {
	modules, drivers []initramfs.Module
	firmware         []firmwareFile
}

func choose(tree fs.FS, packages []debian.Package) (contents, error) {
	first, err := initramfs.Select(initramfs.Choice{Tree: tree, Wanted: agentModules(), Implied: impliedModules()})
	if err != nil {
		return contents{}, err
	}
	second, err := initramfs.Select(initramfs.Choice{Tree: tree, Wanted: driverModules(), Present: first, Implied: impliedModules()})
	if err != nil {
		return contents{}, err
	}
	firmware, err := selectFirmware(slices.Concat(first, second), packages)
	return contents{modules: first, drivers: second, firmware: firmware}, err
}
