// Command image builds what an unclaimed machine boots: Debian's generic kernel and an
// initramfs with the registration agent as /init and the kernel modules it loads.
//
//	go run ./registration-agent/image -out assets/images/agent-amd64
//
// It is a build-time tool: it needs the Go tool chain, apt and dpkg-deb. The same
// kernel package, sources and Go version give the same bytes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
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
	out := flags.String("out", "", "directory to write vmlinuz, initramfs.xz and manifest.json to")
	cache := flags.String("cache", debian.DefaultCacheDir(), "directory that keeps Debian packages between runs")
	maxAge := flags.Duration("max-age", 24*time.Hour, "look for a newer kernel when the package index is older than this")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("usage: image -out DIRECTORY [-cache DIRECTORY] [-max-age DURATION]")
	}
	started := time.Now()
	archive, err := debian.New(debian.Config{
		CacheDir:     *cache,
		Suites:       []string{"bookworm", "bookworm-security"},
		Architecture: "amd64",
		MaxAge:       *maxAge,
		Logger:       logger,
	})
	if err != nil {
		return err
	}
	kernel, err := fetchKernel(ctx, archive)
	if err != nil {
		return err
	}
	if err := build(ctx, kernel, *out); err != nil {
		return err
	}
	logger.Info("agent image built", "path", *out, "kernel", kernel.Release, "duration", time.Since(started).Round(time.Millisecond))
	return nil
}

// build writes the kernel, the initramfs and their manifest.
func build(ctx context.Context, kernel kernel, out string) error {
	modules, err := selectModules(kernel.Modules, wantedModules())
	if err != nil {
		return err
	}
	init, err := compileAgent(ctx)
	if err != nil {
		return err
	}
	unpacked, err := archive(init, modules)
	if err != nil {
		return err
	}
	initramfs, err := compress(unpacked)
	if err != nil {
		return err
	}
	vmlinuz, err := os.ReadFile(kernel.Vmlinuz)
	if err != nil {
		return err
	}
	// The name is Sidero's, which users have in their kernel arguments; the kernel goes
	// by the content.
	files := []debian.Content{{Name: "vmlinuz", Data: vmlinuz}, {Name: "initramfs.xz", Data: initramfs}}
	return debian.WriteImages(out, files, func(files []debian.File) any {
		return newManifest(kernel, modules, files)
	})
}
