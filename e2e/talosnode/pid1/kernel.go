package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/pid1/systemdisk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
)

// openFiles is how many the node may have open: etcd and kube-apiserver want more than the kernel's 1024.
const openFiles = 1 << 16

// prepareKernel makes what programs expect of a running system.
func prepareKernel() error {
	var failed []error

	for _, mount := range []struct{ kind, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"},
	} {
		if err := unix.Mount(mount.kind, mount.target, mount.kind, unix.MS_NOSUID, ""); err != nil {
			failed = append(failed, fmt.Errorf("mount %s: %w", mount.target, err))
		}
	}

	failed = append(failed,
		os.WriteFile("/etc/hosts", []byte("127.0.0.1 localhost\n::1 localhost\n"), 0o644),
		os.Setenv("PATH", "/sbin"), os.Setenv("HOME", "/run"),
		unix.Sethostname([]byte("node")), // a kernel's own is none that kube-apiserver could write into its Lease
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: openFiles, Max: openFiles}),
	)

	return errors.Join(failed...)
}

// Patience with drivers: how long a slow one is waited for, and how long a bus must have shown nothing new.
const (
	driverPatience = time.Minute
	busQuiet       = 2 * time.Second
)

// startDrivers loads the drivers of all devices, and file systems, which no device asks for.
func startDrivers(ctx context.Context, log *slog.Logger) (systemdisk.Disk, error) {
	index, err := modules.Read(os.DirFS("/"))
	if err != nil {
		return systemdisk.Disk{}, err
	}

	sys := os.DirFS("/sys")
	loader := modules.NewLoader(modules.Config{
		Index: index, Sys: sys, Insert: modules.InsertFrom("/" + modules.Dir), Patience: driverPatience, Quiet: busQuiet, Logger: log,
	})

	if err := loader.Settle(ctx); err != nil {
		return systemdisk.Disk{}, err
	}

	for _, name := range systemdisk.Modules() {
		err = errors.Join(err, loader.Load(name))
	}

	return systemdisk.Disk{Config: systemdisk.Config{
		Sys: sys, Proc: os.DirFS("/proc"), Boot: "/boot", Root: "/var/node", Log: log,
	}}, err
}

// nodeConfig is what firmware and boot loader tell.
func nodeConfig(log *slog.Logger) (node.Config, error) {
	args, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return node.Config{}, err
	}

	tables, err := inventory.ReadSMBIOS()
	if err != nil {
		return node.Config{}, err
	}

	system := inventory.System(tables)

	return node.Config{
		Args:     strings.TrimSpace(string(args)),
		Identity: node.Identity{UUID: system.GetUuid(), Serial: system.GetSerialNumber()},
		Log:      log,
	}, nil
}
