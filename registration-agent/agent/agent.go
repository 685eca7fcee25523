package agent

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/siderolabs/go-smbios/smbios"
	"golang.org/x/sync/errgroup"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/bmc"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/bootargs"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/guard"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/network"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/step"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

// Pace is how long the agent waits for what.
type Pace struct {
	// Restart is the pause after a failed step, before everything is tried again.
	Restart time.Duration
	// FirstRetry and LastRetry bound the pause between tries to register, which doubles.
	FirstRetry, LastRetry time.Duration
	// Refresh is how often a waiting machine tells its facts again, and shows its screen
	// again, which the kernel's messages push away.
	Refresh time.Duration
	// Progress is how often the appliance is told how far a wipe is.
	Progress time.Duration
	// Stuck is how long a wipe may get no further, on any disk, before it is given up: the
	// kernel waits for some disks for ever. Zero is for ever too.
	Stuck time.Duration
	// FirstWipeRetry and LastWipeRetry bound the pause after a failed wipe, which
	// doubles.
	FirstWipeRetry, LastWipeRetry time.Duration
	// FirstBMCRetry and LastBMCRetry bound the pause after no account could be made on the
	// BMC, which doubles; one try takes BMCTry at most.
	FirstBMCRetry, LastBMCRetry, BMCTry time.Duration
	// Leave is how long the screen says that the machine restarts or goes off before it
	// does.
	Leave time.Duration
}

// DefaultPace suits people in front of a machine and an appliance with a thousand of
// them.
func DefaultPace() Pace {
	return Pace{
		Restart: 10 * time.Second, FirstRetry: time.Second, LastRetry: 30 * time.Second, Refresh: 5 * time.Minute,
		Progress: 10 * time.Second, Stuck: 15 * time.Minute, FirstWipeRetry: time.Minute, LastWipeRetry: 30 * time.Minute,
		FirstBMCRetry: time.Minute, LastBMCRetry: 30 * time.Minute, BMCTry: time.Minute, Leave: 5 * time.Second,
	}
}

// Network is the boot interface's network.
type Network interface {
	// Up configures the interface with the address mac.
	Up(ctx context.Context, mac net.HardwareAddr) (network.Link, error)
	// Keep holds on to the lease; it returns nil when ctx ends and an error when the
	// lease is lost.
	Keep(ctx context.Context) error
}

// BMC is the way to the machine's own BMC.
type BMC interface {
	bmc.Device
	Close(ctx context.Context) error
}

// Machine is the machine the agent runs on.
type Machine struct {
	CommandLine string
	// Sys is the root of sysfs.
	Sys fs.FS
	// Drivers loads the modules of all devices, and those of new ones when called again.
	// It gives up waiting for a driver that hangs.
	Drivers func(ctx context.Context) error
	// Randomness returns when the kernel can give random numbers.
	Randomness func(ctx context.Context) error
	SMBIOS     func() (*smbios.SMBIOS, error)
	Interfaces func() ([]inventory.Interface, error)
	Hostname   func() (string, error)
	Network    Network
	// Dial connects to the appliance; over the kernel's own network when nil.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Disks says which disks there are and what is on them.
	Disks func(ctx context.Context) ([]disk.Disk, error)
	// Wipe carries a plan out, as wipe.Host.Run does.
	Wipe func(ctx context.Context, plan wipe.Plan, progress func(wipe.Progress)) ([]wipe.Progress, error)
	// BMC opens the way to the machine's own BMC. Its error is openipmi.ErrNoDevice for a
	// machine that has none. The BMC may hang, and every call with it.
	BMC func(ctx context.Context) (BMC, error)
	// Reboot and PowerOff end everything; they return only when they fail.
	Reboot, PowerOff func() error
}

// Display is where the status screen goes.
type Display interface {
	Show(console.Screen)
}

// Agent registers one machine.
type Agent struct {
	Machine Machine
	Display Display
	Pace    Pace
	Logger  *slog.Logger
}

// Run works until ctx ends. A failure, a defect of the agent's own included, is shown
// and everything is tried again.
func (a *Agent) Run(ctx context.Context) {
	for {
		err := guard.Run(a.Logger, func() error { return a.attempt(ctx) })
		if ctx.Err() != nil {
			return
		}
		a.fail(step.Of(err))
		if pause.For(ctx, a.Pace.Restart) != nil {
			return
		}
	}
}

func (a *Agent) fail(failed *step.Error) {
	a.Logger.Error("step failed", "stage", failed.Step, "error", failed.Err.Error())
	cause := strings.ReplaceAll(failed.Err.Error(), "\n", "; ")
	a.Display.Show(console.Screen{
		Title: "This machine is NOT registered.",
		Rows:  []console.Row{{Label: "failed", Value: failed.Step}, {Label: "cause", Value: cause}},
		Advice: []string{
			"Check " + failed.Check + ".",
			fmt.Sprintf("Everything is tried again in %s.", a.Pace.Restart),
		},
	})
}

// attempt goes through all steps once; it ends only with an error.
func (a *Agent) attempt(ctx context.Context) error {
	args, err := bootargs.Parse(a.Machine.CommandLine)
	if err != nil {
		return step.Failed("read the kernel's arguments", err, "the kernel arguments that the boot server's script passes (sidero.mac and sidero.endpoint)")
	}
	group, ctx := errgroup.WithContext(ctx)
	settled := make(chan struct{})
	group.Go(func() error {
		return guard.Run(a.Logger, func() error {
			defer close(settled)
			return a.drivers(ctx)
		})
	})
	group.Go(func() error {
		return guard.Run(a.Logger, func() error { return a.register(ctx, group, args, settled) })
	})
	return group.Wait()
}

func (a *Agent) drivers(ctx context.Context) error {
	if err := a.Machine.Drivers(ctx); err != nil {
		return step.Failed("load drivers", err, "nothing on site: the image is damaged, or its kernel and modules do not belong together")
	}
	return nil
}

// register brings the network up while the other drivers still start, and registers
// when all of them have, but for those that hang.
func (a *Agent) register(ctx context.Context, group *errgroup.Group, args bootargs.Args, settled <-chan struct{}) error {
	// The kernel makes a reader of random numbers wait until it has some, without a
	// word, and the first reader is DHCP's transaction id. Say so before.
	if err := a.Machine.Randomness(ctx); err != nil {
		return err
	}
	link, err := a.Machine.Network.Up(ctx, args.MAC)
	if err != nil {
		return err
	}
	a.Logger.Info(console.NetworkUp, "interface", link.Interface, "address", link.Address.String(), "mac", link.MAC.String()) //nolint:sloglint // a constant, of another package: tests wait for the line
	group.Go(func() error {
		return guard.Run(a.Logger, func() error { return a.Machine.Network.Keep(ctx) })
	})
	select {
	case <-settled:
	case <-ctx.Done():
		return ctx.Err()
	}
	registrar, err := dial(a, args.Endpoint, link)
	if err != nil {
		return step.Failed("reach the appliance", err, "the kernel argument sidero.endpoint")
	}
	defer registrar.close()
	return registrar.run(ctx)
}
