// Command image builds what a machine boots to become the stand-in for a Talos node: Debian's kernel, and an initramfs with the node
// as /init. They are the kernel and the initrd of an Environment.
//
//	go run ./e2e/talosnode/image -init bin/talosnode/init -out bin/talosnode
//
// The initramfs is two archives in one file. The first has what a disk is made bootable with: the kernel, both GRUBs, and the second
// archive, which is the system itself; so a machine that starts from its disk has the second alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path"
	"runtime"
	"slices"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/debian"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pid1/systemdisk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/initramfs"
)

func main() {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	if err := run(ctx, logger, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "build image of the Talos node: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, logger *slog.Logger, args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	program := flags.String("init", "", "the program to be started, of e2e/talosnode/pid1")
	out := flags.String("out", "", "directory to write the files and manifest.json to")
	cache := flags.String("cache", debian.DefaultCacheDir(), "directory that keeps Debian packages between runs")

	if err := flags.Parse(args); err != nil {
		return err
	}

	if *program == "" || *out == "" || flags.NArg() > 0 {
		return fmt.Errorf("usage: image -init PROGRAM -out DIRECTORY [-cache DIRECTORY]")
	}

	init, err := os.ReadFile(*program)
	if err != nil {
		return err
	}

	archive, err := debian.New(debian.Config{
		CacheDir: *cache, Suites: []string{"bookworm", "bookworm-security"}, Components: []string{"main"},
		Architecture: "amd64", MaxAge: 24 * time.Hour, Logger: logger,
	})
	if err != nil {
		return err
	}

	kernel, err := initramfs.FetchKernel(ctx, archive)
	if err != nil {
		return err
	}

	return build(ctx, kernel, init, *out)
}

// manifest says what the files are made of.
type manifest struct {
	KernelRelease string        `json:"kernelRelease"`
	Kernel        debian.Origin `json:"kernel"`
	GoVersion     string        `json:"goVersion"`
	Files         []debian.File `json:"files"`
}

func build(ctx context.Context, kernel initramfs.Kernel, init []byte, out string) error {
	vmlinuz, err := os.ReadFile(kernel.Vmlinuz)
	if err != nil {
		return err
	}

	system, err := systemArchive(ctx, kernel, init)
	if err != nil {
		return err
	}

	loaders, err := makeLoaders(ctx)
	if err != nil {
		return err
	}

	installer := initramfs.Archive(bootEntries(slices.Concat(loaders, []debian.Content{
		{Name: systemdisk.KernelFile, Data: vmlinuz}, {Name: systemdisk.InitramfsFile, Data: system},
	})))
	files := []debian.Content{{Name: "vmlinuz", Data: vmlinuz}, {Name: "initramfs", Data: slices.Concat(installer, system)}}

	return debian.WriteImages(out, files, func(files []debian.File) any {
		return manifest{KernelRelease: kernel.Release, Kernel: kernel.Origin(), GoVersion: runtime.Version(), Files: files}
	})
}

// systemArchive is the node, with the drivers of virtual machines and the programs that it installs with.
func systemArchive(ctx context.Context, kernel initramfs.Kernel, init []byte) ([]byte, error) {
	chosen, err := initramfs.Select(initramfs.Choice{Tree: kernel.Modules, Wanted: drivers()})
	if err != nil {
		return nil, err
	}

	modules, err := initramfs.Modules("node", chosen, nil)
	if err != nil {
		return nil, err
	}

	programs, err := programEntries(ctx, systemdisk.Programs())
	if err != nil {
		return nil, err
	}

	folders := []initramfs.Entry{{Name: "var", Mode: initramfs.ModeDir | 0o755}}

	return initramfs.Compress(initramfs.Archive(initramfs.Init(init), modules, programs, folders))
}

// drivers are those of QEMU's machines.
func drivers() []string {
	return append(systemdisk.Modules(),
		"virtio_pci", "virtio_rng", "virtio_net", "virtio_blk", "virtio_scsi", "e1000", "e1000e", "ahci", "nvme", "sd_mod")
}

// bootEntries are the files of systemdisk.Config.Boot.
func bootEntries(files []debian.Content) []initramfs.Entry {
	var entries []initramfs.Entry
	for _, file := range files {
		entries = append(entries, initramfs.Entry{Name: path.Join("boot", file.Name), Mode: initramfs.ModeFile | 0o644, Content: file.Data})
	}

	return initramfs.InFolders(entries)
}
