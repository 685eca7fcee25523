// Command registration-agent is /init of the initramfs that an unclaimed machine boots:
// process 1, and the only one. It sets the kernel up, hands over to package agent, and
// never returns, because the kernel panics when its process 1 ends.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/agent"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "registration-agent is the /init of a network-boot image: it runs only as process 1")
		os.Exit(2)
	}
	mounted := mountAll()
	terminals := console.Open(os.DirFS("/sys"))
	logger := terminals.Logger()
	logger.Info(console.Started) //nolint:sloglint // a constant, of another package: tests wait for the line
	if mounted != nil {
		logger.Error("the kernel's file systems are not all mounted", "error", mounted.Error())
	}
	go reap()

	machine, err := thisMachine(logger)
	if err != nil {
		logger.Error("the image is damaged: check that kernel and initramfs belong together", "error", err.Error())
		select {}
	}
	a := agent.Agent{Machine: machine, Display: terminals, Pace: agent.DefaultPace(), Logger: logger}
	a.Run(context.Background())
}

// reap takes in the exit codes of processes whose parents are gone, which fall to
// process 1.
func reap() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	for range children {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
		}
	}
}
