// Command talosnode is a stand-in for a Talos node in tests: a process in a network namespace that behaves as one machine, from
// power-on until it is to be restarted or switched off. Whoever starts it plays the firmware by its exit code. It is no part of the
// product, and no Talos.
//
// "talosnode hall SOCKET" is many simpler ones, which are switched on by requests at a unix socket: see package hall.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/hall"
	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
)

// Exit codes, beside 0 of a node that a signal ended, 1 of one that failed, and 2 of wrong flags.
const (
	exitReboot   = 10
	exitShutdown = 11
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	code, err := run(ctx, os.Args[1:], os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "talosnode:", err)
	}

	os.Exit(code)
}

func run(ctx context.Context, args []string, log io.Writer) (int, error) {
	if len(args) == 2 && args[0] == "hall" {
		if err := hall.Serve(ctx, args[1], slog.New(slog.NewTextHandler(log, nil))); err != nil {
			return 1, fmt.Errorf("run hall: %w", err)
		}

		return 0, nil
	}

	config, err := parse(args, log)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}

	if err != nil {
		return 2, err
	}

	if err := os.MkdirAll(config.Root, 0o700); err != nil {
		return 1, fmt.Errorf("make root: %w", err)
	}

	outcome, err := node.Run(ctx, config)

	switch {
	case ctx.Err() != nil:
		return 0, nil
	case err != nil:
		return 1, err
	case outcome == node.Reboot:
		return exitReboot, nil
	default:
		return exitShutdown, nil
	}
}

// parse reads the flags.
func parse(args []string, log io.Writer) (node.Config, error) {
	var (
		c                          node.Config
		state, addresses, hardware string
	)

	flags := flag.NewFlagSet("talosnode", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&c.Args, "args", "", "kernel arguments")
	flags.StringVar(&c.Identity.UUID, "uuid", "", "UUID of the machine")
	flags.StringVar(&c.Identity.Serial, "serial", "", "serial number of the machine")
	flags.StringVar(&c.Network.Hostname, "hostname", "", "host name that DHCP told")
	flags.StringVar(&c.Release, "release", "", "release of Talos that is booted over the network, such as v1.13.6")
	flags.StringVar(&c.Root, "root", "", "folder of what the node writes")
	flags.StringVar(&state, "state", "", "folder that stands for the system disk")
	flags.StringVar(&addresses, "address", "", "addresses of the machine, the node's first, separated by commas")
	flags.StringVar(&hardware, "mac", "", "MAC of the machine")

	if err := flags.Parse(args); err != nil {
		return c, err //nolint:wrapcheck // the flag package's own words are complete
	}

	for name, value := range map[string]string{"uuid": c.Identity.UUID, "root": c.Root, "state": state, "address": addresses} {
		if value == "" {
			return c, fmt.Errorf("read flags: --%s is missing", name)
		}
	}

	for _, text := range strings.Split(addresses, ",") {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return c, fmt.Errorf("read --address: %w", err)
		}

		c.Network.Addresses = append(c.Network.Addresses, address)
	}

	if hardware != "" {
		mac, err := net.ParseMAC(hardware)
		if err != nil {
			return c, fmt.Errorf("read --mac: %w", err)
		}

		c.Network.MAC = mac
	}

	c.State = node.Directory{Path: state, Root: c.Root}
	c.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))

	return c, nil
}
