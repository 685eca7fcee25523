package simulated

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing/fstest"
	"time"

	"github.com/siderolabs/go-smbios/smbios"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/agent"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/network"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/pause"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/wipe"
)

const (
	// scriptTimeout is for an appliance that was killed while it answered.
	scriptTimeout = 5 * time.Second
	// firmwareRetry is how long firmware waits before it asks again.
	firmwareRetry = 100 * time.Millisecond
)

// life is a machine from the moment that it gets power until it loses it.
type life struct {
	*Machine

	end context.CancelFunc
	// installed tells that an operating system runs that is on the disk.
	installed atomic.Bool
}

// run is what a machine does while it has power: it boots, and boots again when it is told to start again.
func (l *life) run(ctx context.Context, fromNetwork bool) {
	for l.boot(ctx, fromNetwork) && ctx.Err() == nil {
		fromNetwork = false
	}

	l.installed.Store(false)
}

// boot is what a machine does from its start to the next one: it boots from the network, or from its disk if it may. It is false
// when the machine is not to start again by itself.
func (l *life) boot(ctx context.Context, fromNetwork bool) bool {
	if !fromNetwork && l.disk.boots() {
		return l.system(ctx, kernel{})
	}

	k, err := l.firmware(ctx)

	switch {
	case err != nil:
		return false
	case k == kernel{}, l.config.System != nil && !k.isAgent():
		return l.system(ctx, k)
	}

	l.started(k)

	if l.agent(ctx, k.arguments) != nil || ctx.Err() != nil {
		return false
	}

	if l.config.System != nil {
		return true
	}

	// Only a machine in use is told to start again. It has an operating system from then on.
	if l.disk != nil {
		l.disk.install(ctx)
	}

	l.installed.Store(ctx.Err() == nil)
	<-ctx.Done()

	return false
}

// system runs the machine's operating system, and tells whether it restarts. Without one the machine is installed, and on until it is turned off.
func (l *life) system(ctx context.Context, k kernel) bool {
	l.started(k)

	if l.config.System == nil {
		l.installed.Store(true)
		<-ctx.Done()

		return false
	}

	l.installed.Store(k == kernel{})
	restart, err := l.config.System(ctx, l.Machine, k.arguments)
	l.installed.Store(false)

	switch {
	case ctx.Err() != nil:
		return false
	case err != nil: // as a kernel does that panics
		return pause.For(ctx, firmwareRetry) == nil
	case k != kernel{} && l.disk.boots():
		l.disk.installed()
	}

	if !restart {
		go l.Press(false) // not from within its own life, which it ends
	}

	return restart
}

// kernel is what firmware starts. The zero value is that of the disk.
type kernel struct {
	// path below the appliance's own address.
	path, arguments string
}

// isAgent tells whether it is the registration agent's.
func (k kernel) isAgent() bool { return strings.HasPrefix(k.path, "/env/agent-") }

// firmware asks for a boot script until there is one that starts a kernel, or leaves the machine to its disk. It fails when the
// machine loses power.
func (l *life) firmware(ctx context.Context) (kernel, error) {
	for {
		k, err := l.script(ctx)
		if err == nil {
			return k, nil
		}

		if errors.Is(err, errToDisk) && l.disk.boots() {
			return kernel{}, nil
		}

		if err := pause.For(ctx, firmwareRetry); err != nil {
			return kernel{}, err
		}
	}
}

// errToDisk is for an answer after which firmware tries what it boots from next.
var errToDisk = errors.New("boot: left to the disk")

// script asks once.
func (l *life) script(ctx context.Context) (kernel, error) {
	query := url.Values{
		"uuid": {l.Name}, "mac": {strings.ReplaceAll(l.MAC.String(), ":", "-")}, "serial": {l.serial()},
		"arch": {"x86_64"}, "platform": {"pcbios"}, "version": {"1.21.1"},
	}

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.config.Appliance+"/ipxe?"+query.Encode(), http.NoBody)
	if err != nil {
		return kernel{}, err
	}

	response, err := l.web.Do(request)
	if err != nil {
		return kernel{}, err
	}
	defer response.Body.Close()

	if response.StatusCode == http.StatusNotFound {
		return kernel{}, errToDisk
	}

	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		line := lines.Text()
		if line == "exit" || strings.HasPrefix(line, "sanboot ") {
			return kernel{}, errToDisk
		}

		// kernel ${appliance}/PATH ARGUMENTS || goto failed
		if rest, ok := strings.CutPrefix(line, "kernel "); ok {
			path, arguments, _ := strings.Cut(rest, " ")
			arguments, _, _ = strings.Cut(arguments, " ||")

			return kernel{strings.TrimPrefix(path, "${appliance}"), arguments}, nil
		}
	}

	return kernel{}, fmt.Errorf("boot: status %d without a kernel", response.StatusCode)
}

var errPowerOff = errors.New("switched off by order")

// agent runs the agent until the machine is told to start again. It fails when the machine loses power.
func (l *life) agent(ctx context.Context, arguments string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	restarts := errors.New("starts again")
	a := agent.Agent{
		Machine: l.hardware(arguments), Display: noDisplay{}, Pace: l.config.Pace,
		Logger: slog.New(journal{l.Machine}),
	}
	a.Machine.Reboot = func() error { cancel(restarts); return nil }
	a.Machine.PowerOff = func() error { cancel(errPowerOff); return nil }
	a.Run(ctx)

	switch err := context.Cause(ctx); {
	case errors.Is(err, restarts):
		return nil
	case errors.Is(err, errPowerOff):
		go l.Press(false) // not from within its own life, which it ends

		return err
	default:
		return err
	}
}

// hardware is the machine as its agent sees it.
func (l *life) hardware(arguments string) agent.Machine {
	machine := agent.Machine{
		CommandLine: arguments,
		Drivers:     func(context.Context) error { return nil },
		Randomness:  func(context.Context) error { return nil },
		SMBIOS:      l.tables,
		Interfaces:  l.interfaces,
		Hostname:    func() (string, error) { return l.host(), nil },
		Network:     wire{l.Machine},
		Dial:        l.dial,
		Disks:       func(context.Context) ([]disk.Disk, error) { return nil, nil },
		Wipe:        func(context.Context, wipe.Plan, func(wipe.Progress)) ([]wipe.Progress, error) { return nil, nil },
		Sys:         fstest.MapFS{"block/vda/size": {Data: fmt.Append(nil, DiskSize/sector)}},
	}

	if l.disk != nil {
		machine.Disks = func(context.Context) ([]disk.Disk, error) { return l.disk.list(), nil }
		machine.Wipe = l.disk.wipe
	}

	return machine
}

func (l *life) tables() (*smbios.SMBIOS, error) {
	return &smbios.SMBIOS{
		SystemInformation: smbios.SystemInformation{UUID: l.Name, Manufacturer: "Simulated", ProductName: "Box", SerialNumber: l.serial()},
	}, nil
}

func (l *life) interfaces() ([]inventory.Interface, error) {
	return []inventory.Interface{{
		Interface: net.Interface{Index: 2, MTU: 1500, Name: "eth0", Flags: net.FlagUp, HardwareAddr: l.MAC},
		// Not the one it has: nobody is reached by an address of loopback.
		Addresses: []string{netip.PrefixFrom(l.Reachable(), 8).String()},
	}}, nil
}

// wire is the machine's network, which is up.
type wire struct{ *Machine }

// Up implements agent.Network.
func (w wire) Up(context.Context, net.HardwareAddr) (network.Link, error) {
	return network.Link{
		Interface: "eth0", MAC: w.MAC, Settings: network.Settings{Address: netip.PrefixFrom(w.Reachable(), 8)},
	}, nil
}

// Keep implements agent.Network.
func (wire) Keep(ctx context.Context) error {
	<-ctx.Done()

	return nil
}

type noDisplay struct{}

// Show implements agent.Display.
func (noDisplay) Show(console.Screen) {}

// journal hears what an agent logs.
type journal struct{ *Machine }

// wipeDone is what the agent logs when the appliance has confirmed that it knows of a wipe's end.
const wipeDone = "wipe done"

// Enabled implements slog.Handler.
func (journal) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle implements slog.Handler.
func (j journal) Handle(_ context.Context, record slog.Record) error {
	if record.Message == wipeDone && j.disk != nil {
		j.disk.recorded(record.Time)
	}

	if j.config.Heard != nil {
		j.config.Heard(record)
	}

	return nil
}

// WithAttrs implements slog.Handler.
func (j journal) WithAttrs([]slog.Attr) slog.Handler { return j }

// WithGroup implements slog.Handler.
func (j journal) WithGroup(string) slog.Handler { return j }
