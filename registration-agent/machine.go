package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/power/ipmi/openipmi"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/agent"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/bootargs"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/guard"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/lldp"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/modules"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/network"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// mountAll mounts what the agent reads; the devices' nodes are the kernel's own.
func mountAll() error {
	var failed []error
	for _, mount := range []struct{ kind, target string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/run"}, {"tmpfs", "/tmp"},
	} {
		if err := unix.Mount(mount.kind, mount.target, mount.kind, unix.MS_NOSUID, ""); err != nil {
			failed = append(failed, fmt.Errorf("mount %s: %w", mount.target, err))
		}
	}
	return errors.Join(failed...)
}

// thisMachine wires the agent to the kernel it runs on.
func thisMachine(logger *slog.Logger) (agent.Machine, error) {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return agent.Machine{}, err
	}
	index, err := modules.Read(os.DirFS("/"))
	if err != nil {
		return agent.Machine{}, err
	}
	sys, proc := os.DirFS("/sys"), os.DirFS("/proc")
	inspector, listener := disk.NewInspector(), lldp.NewListener()
	go hear(listener, logger)
	loader := modules.NewLoader(modules.Config{
		Index: index, Sys: sys, Insert: modules.InsertFrom("/" + modules.Dir),
		Patience: driverPatience, Quiet: busQuiet, Logger: logger,
	})
	return agent.Machine{
		CommandLine: string(cmdline),
		Sys:         sys,
		Drivers:     func(ctx context.Context) error { return settle(ctx, loader, sys, string(cmdline), logger) },
		Randomness:  func(ctx context.Context) error { return awaitRandomness(ctx, logger) },
		SMBIOS:      inventory.ReadSMBIOS,
		Interfaces:  func() ([]inventory.Interface, error) { return inventory.Interfaces(listener) },
		Hostname:    hostname,
		Network: network.New(network.Config{
			ResolvConf:  filepath.Join("/etc", "resolv.conf"),
			SetHostname: func(name string) error { return unix.Sethostname([]byte(name)) },
			Logger:      logger,
		}),
		Disks: func(ctx context.Context) ([]disk.Disk, error) {
			disks, err := disk.List(sys, proc)
			return inspector.Inspect(ctx, disks), err
		},
		BMC:      func(ctx context.Context) (agent.BMC, error) { return openBMC(ctx, loader) },
		Wipe:     wipe.ThisMachine(logger).Run,
		Reboot:   func() error { return leave(unix.LINUX_REBOOT_CMD_RESTART) },
		PowerOff: func() error { return leave(unix.LINUX_REBOOT_CMD_POWER_OFF) },
	}, nil
}

// settle loads the drivers of all devices, and switches adapters on that they have brought,
// so that there is something to tell of them. Without those a machine works as well.
func settle(ctx context.Context, loader *modules.Loader, sys fs.FS, cmdline string, logger *slog.Logger) error {
	if err := loader.Settle(ctx); err != nil {
		return err
	}
	args, err := bootargs.Parse(cmdline)
	if err != nil {
		return nil // nobody knows which adapter to leave alone, and the agent tells why
	}
	if err := network.Wake(sys, args.MAC); err != nil {
		logger.Warn("adapters stay off", "error", err.Error())
	}
	return nil
}

// hear listens for switches as long as the kernel runs. Without that a machine works as well.
func hear(listener *lldp.Listener, logger *slog.Logger) {
	if err := guard.Run(logger, func() error { return listener.Run(context.Background()) }); err != nil {
		logger.Warn("it will not be known which ports of switches the machine is connected to", "error", err.Error())
	}
}

// leave ends everything. No file system of a disk is mounted, and a wipe flushes what it
// writes.
func leave(command int) error {
	if err := unix.Reboot(command); err != nil {
		return fmt.Errorf("end the kernel: %w", err)
	}
	return nil
}

// driverPatience is more than controllers take that spin up their disks one by one, or
// look for them on an unplugged cable.
const driverPatience = 2 * time.Minute

// busQuiet is more than USB takes from one device to the next: a hub up to a second for
// a device that is plugged in (hub.c), a stick a second before its disk is asked for
// (usb-storage's delay_use).
const busQuiet = 2 * time.Second

// bmcPatience is how long the kernel may take to find the BMC: its driver asks for the BMC's
// identity before there is a device, and tries again when it is slow.
const bmcPatience = 5 * time.Second

// openBMC opens the kernel's way to the BMC. Machines whose firmware does not tell of their
// BMC have not had its drivers loaded.
func openBMC(ctx context.Context, loader *modules.Loader) (agent.BMC, error) {
	var failed error
	for _, module := range []string{"ipmi_si", "ipmi_devintf"} {
		failed = errors.Join(failed, loader.Load(module))
	}
	for end := time.Now().Add(bmcPatience); ; {
		device, err := openipmi.Open(ctx)
		switch {
		case err == nil:
			return device, nil
		case time.Now().After(end):
			return nil, errors.Join(err, failed)
		}
		if err := pause.For(ctx, bmcPatience/20); err != nil {
			return nil, err
		}
	}
}

// noName is what the kernel calls a machine that nobody has named.
const noName = "(none)"

func hostname() (string, error) {
	name, err := os.Hostname()
	if name == noName {
		return "", err
	}
	return name, err
}

// awaitRandomness returns when the kernel can give random numbers. Old processors lack
// RDRAND, and a virtual machine's random number device comes to life with its driver
// only. A call that waits is needed: it makes the kernel gather randomness by itself,
// in about a second, which one that only asks does not (seen with Linux 6.1).
func awaitRandomness(ctx context.Context, logger *slog.Logger) error {
	if _, err := unix.Getrandom(make([]byte, 1), unix.GRND_NONBLOCK); !errors.Is(err, unix.EAGAIN) {
		return nil
	}
	logger.Info("waiting for the kernel to gather random numbers")
	began := time.Now()
	gathered := make(chan struct{})
	go func() {
		defer close(gathered)
		for {
			if _, err := unix.Getrandom(make([]byte, 1), 0); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	select {
	case <-gathered:
		logger.Info("the kernel has random numbers", "duration", time.Since(began).Round(time.Millisecond))
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
