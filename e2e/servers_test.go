//go:build e2e

package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
)

const lifecycleWithin = 8 * time.Minute

// TestServersLifecycle takes three machines through the life of a server: one with IPMI, one with Redfish, one without a BMC.
// The witnesses are the machines' disks, QEMU's counters and the BMCs' logs.
func TestServersLifecycle(t *testing.T) {
	ctx, i := start(t, lifecycleWithin, "--log-level=debug")

	node, err := bmc.Attach(ctx, i.Lab, bmcAddress)
	node = must(t, node, err)

	for _, k := range kinds() {
		t.Run(k.machine.Name, func(t *testing.T) {
			t.Parallel()

			m := k.make(t, i)
			m.register(ctx, t, k, node)
			m.waitForAcceptance(ctx, t)
			m.accept(ctx, t)
		})
	}
}

// register is a person who starts the machine from the network, once, and tells the appliance of its BMC.
func (m *managed) register(ctx context.Context, t *testing.T, k kind, node *lab.Node) {
	t.Helper()

	must(t, 0, m.machine.TurnOn(lab.FromNetwork))

	if k.bmc != nil {
		b, err := k.bmc(node, m.machine)
		m.bmc = must(t, b, err)
		m.power = k.power(m.bmc)
	}

	if _, err := m.machine.VM().WaitConsole(ctx, console.LineRegistered+m.name()); err != nil {
		t.Fatal(err)
	}

	t.Logf("registered after %s", m.machine.VM().Elapsed().Round(time.Second))

	if m.bmc != nil {
		m.patch(ctx, t, m.power)
		m.until(ctx, t, "known to be on", func(s *v1alpha2.Server) bool { return s.Status.Power == v1alpha2.PowerOn })
	}
}

// waitForAcceptance sees that a machine that nobody has accepted tells what would be wiped, whatever is asked for, and that
// nothing is done to it.
func (m *managed) waitForAcceptance(ctx context.Context, t *testing.T) {
	t.Helper()

	m.checkUntouched(ctx, t, nil)
	m.patch(ctx, t, `"wipe":`+m.policy)
	m.until(ctx, t, "planned", m.planned)
	m.checkUntouched(ctx, t, nil)
}

// accept has the machine wiped, and sees that it is.
func (m *managed) accept(ctx context.Context, t *testing.T) {
	t.Helper()

	if _, err := m.Kubectl(ctx, "patch", "server", m.name(), "--type", "merge", "-p", `{"spec":{"accepted":true}}`); err != nil {
		t.Fatal(err)
	}

	m.untilClean(ctx, t)
}

// untilClean waits until the machine is clean, and off if it can be turned off, and sees that its disks are so.
func (m *managed) untilClean(ctx context.Context, t *testing.T) {
	t.Helper()

	began := time.Now()
	m.until(ctx, t, "clean", func(s *v1alpha2.Server) bool { return s.Status.IsClean })
	t.Logf("clean after %s, the BMC was told %q", time.Since(began).Round(time.Second), m.changes())

	if m.bmc != nil {
		m.untilOn(ctx, t, false)
	}

	m.checkDisks(ctx, t)
}
