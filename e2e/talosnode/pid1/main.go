// Command pid1 is /init of a machine that boots the stand-in for Talos: it sets the kernel up, hands over to package node, and does
// with the machine what came of that. It never returns, because the kernel panics when its process 1 ends.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/guard"
)

// restartDelay is how long a failure is to be read on the console.
const restartDelay = 10 * time.Second

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "pid1 is the /init of a network-boot image: it runs only as process 1")
		os.Exit(2)
	}

	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	log.Info("this is a stand-in for Talos, for tests")

	var outcome node.Outcome

	err := guard.Run(log, func() (err error) {
		outcome, err = run(context.Background(), log)

		return err
	})
	if err != nil {
		log.Error("the node failed, restarting the machine", "error", err.Error(), "delay", restartDelay)
		time.Sleep(restartDelay)
	}

	leave(outcome, log)
}

// run is the machine from its start until it is to restart.
func run(ctx context.Context, log *slog.Logger) (node.Outcome, error) {
	if err := prepareKernel(); err != nil {
		return 0, err
	}

	disk, err := startDrivers(ctx, log)
	if err != nil {
		return 0, err
	}

	installed, err := disk.Mount()
	if err != nil {
		return 0, err
	}

	log.Info("looked for an installation", "installed", installed)

	config, err := nodeConfig(log)
	if err != nil {
		return 0, err
	}

	config.State, config.Root = disk, disk.Root

	connection := newConnection(log)
	go connection.keep(ctx)

	if config.Network, err = connection.await(ctx, installed); err != nil {
		return 0, err
	}

	outcome, err := node.Run(ctx, config)
	if unmountErr := disk.Unmount(); unmountErr != nil {
		log.Warn("the disk is not as clean as it could be", "error", unmountErr.Error())
	}

	return outcome, err
}

// leave ends the kernel.
func leave(outcome node.Outcome, log *slog.Logger) {
	log.Info("leaving the machine", "outcome", outcome.String())
	unix.Sync()

	command := unix.LINUX_REBOOT_CMD_RESTART
	if outcome == node.Shutdown {
		command = unix.LINUX_REBOOT_CMD_POWER_OFF
	}

	err := unix.Reboot(command)
	log.Error("the kernel does not end", "error", fmt.Sprint(err))
	select {}
}
