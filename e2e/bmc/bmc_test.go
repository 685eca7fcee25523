//go:build e2e

package bmc_test

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const address = "172.30.0.201"

// outlet is a machine in a lab, with the computer that its BMC listens on.
type outlet struct {
	node    *lab.Node
	machine *bmc.Machine
	// send has the BMC do something, by a program of somebody else.
	send func(ctx context.Context, what string) error
}

func newOutlet(ctx context.Context, t *testing.T, firmware lab.Firmware) *outlet {
	t.Helper()

	l, err := lab.New(ctx, lab.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}

	node, err := bmc.Attach(ctx, l, address)
	if err != nil {
		t.Fatal(err)
	}

	machine := bmc.NewMachine(l, lab.Machine{Name: "outlet", Firmware: firmware, Memory: 128, Disks: []lab.Disk{{Size: 1 << 20}}})
	t.Cleanup(func() {
		for _, closing := range []func() error{machine.Close, l.Close} {
			if err := closing(); err != nil {
				t.Error(err)
			}
		}
	})

	return &outlet{node: node, machine: machine}
}

func (o *outlet) run(ctx context.Context, name string, args ...string) error {
	cmd := o.node.Command(ctx, name, args...)

	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said

	if err := o.node.Run(cmd); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, said.String())
	}

	return nil
}

// startWith makes the machine do what is sent, and waits until it has started as it should.
func (o *outlet) startWith(ctx context.Context, t *testing.T, from lab.Boot, sends ...string) {
	t.Helper()

	before := o.machine.Starts()

	for _, what := range sends {
		if err := o.send(ctx, what); err != nil {
			t.Fatal(err)
		}
	}

	wait(ctx, t, func() bool { return o.machine.Starts() == before+1 && o.machine.On() })

	if got := o.machine.VM().Boot; got != from {
		t.Errorf("after %q it starts from the %s, want the %s", sends, got, from)
	}
}

func wait(ctx context.Context, t *testing.T, good func() bool) {
	t.Helper()

	for tick := time.NewTicker(10 * time.Millisecond); !good(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
}

// TestBMC has ipmitool and redfishtool press the buttons of real virtual machines.
func TestBMC(t *testing.T) {
	for _, program := range []string{"ipmitool", "redfishtool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: run \"make deps\"", err)
		}
	}

	t.Run("ipmi", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		t.Cleanup(cancel)

		o := newOutlet(ctx, t, lab.BIOS)

		b, err := bmc.NewIPMI(o.node, address+":0", o.machine)
		if err != nil {
			t.Fatal(err)
		}

		t.Cleanup(func() { _ = b.Close() })

		o.send = func(ctx context.Context, what string) error {
			login := []string{"-I", "lanplus", "-C", "17", "-H", address, "-p", strconv.Itoa(b.Port()), "-U", bmc.User, "-P", bmc.Password}

			return o.run(ctx, "ipmitool", append(login, strings.Fields(what)...)...)
		}

		o.startWith(ctx, t, lab.FromDisk, "chassis power on")
		o.startWith(ctx, t, lab.FromNetwork, "chassis bootdev pxe", "chassis power cycle")
		o.startWith(ctx, t, lab.FromDisk, "chassis power cycle")
		o.startWith(ctx, t, lab.FromDisk, "chassis bootdev pxe options=efiboot", "chassis power cycle") // not its firmware
		o.check(ctx, t, b, "chassis power off", bmc.On, bmc.Network, bmc.Cycle, bmc.Cycle, bmc.Network, bmc.Cycle, bmc.Off)
	})

	t.Run("redfish", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		t.Cleanup(cancel)

		o := newOutlet(ctx, t, lab.UEFI)

		b, err := bmc.NewRedfish(o.node, address+":0", o.machine)
		if err != nil {
			t.Fatal(err)
		}

		t.Cleanup(func() { _ = b.Close() })

		o.send = func(ctx context.Context, what string) error {
			login := []string{"-r", b.Address(), "-u", bmc.User, "-p", bmc.Password, "-S", "Always", "Systems", "-F"}

			return o.run(ctx, "redfishtool", append(login, strings.Fields(what)...)...)
		}

		o.startWith(ctx, t, lab.FromDisk, "reset On")
		o.startWith(ctx, t, lab.FromNetwork, "setBootOverride Once Pxe", "reset ForceRestart")
		o.startWith(ctx, t, lab.FromDisk, "reset ForceRestart")
		o.check(ctx, t, b, "reset ForceOff", bmc.On, bmc.Network, bmc.Cycle, bmc.Cycle, bmc.Off)
	})
}

// check has the machine turned off, and holds the BMC's log to what it was told by then, and QEMU's counters to a machine
// that nothing has written to.
func (o *outlet) check(ctx context.Context, t *testing.T, b bmc.BMC, off string, want ...string) {
	t.Helper()

	if err := o.send(ctx, off); err != nil {
		t.Fatal(err)
	}

	wait(ctx, t, func() bool { return !o.machine.On() })

	if got := b.Changes(); !slices.Equal(got, want) || b.Asked() <= len(want) {
		t.Errorf("it was told %q, want %q", got, want)
	}

	if writes, err := o.machine.Writes(ctx); err != nil || !slices.Equal(writes, []int{0}) {
		t.Errorf("writes are %v, %v", writes, err)
	}
}
