//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	lifecycleWithin = 8 * time.Minute
	// stageWithin is for two boots of the slowest machine.
	stageWithin = 3 * time.Minute
	// wipesWithin is how long a fast wipe of five disks may take.
	wipesWithin = 10 * time.Second
)

// TestServersLifecycle takes three machines through the life of a server: one with IPMI, one with Redfish, one without a BMC.
// The witnesses are the machines' disks, QEMU's counters and the BMCs' logs, not what the appliance says.
func TestServersLifecycle(t *testing.T) {
	ctx, i := start(t, lifecycleWithin, "--log-level=debug")

	node, err := bmc.Attach(ctx, i.Lab, bmcAddress)
	node = must(t, node, err)

	for _, k := range kinds() {
		t.Run(k.machine.Name, func(t *testing.T) {
			t.Parallel()

			m := k.make(t, i)
			m.register(ctx, t, k, node)

			for _, stage := range []struct {
				name string
				run  func(context.Context, *testing.T)
			}{
				{"waits to be accepted", m.waitForAcceptance},
				{"accepted", m.accept},
				{"cordoned", m.cordon},
				{"power", m.switchPower},
				{"in use", m.use},
				{"given back", m.giveBack},
				{"no more accepted", m.withdraw},
			} {
				if !t.Run(stage.name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(ctx, stageWithin)
					defer cancel()

					stage.run(ctx, t)
				}) {
					return
				}
			}
		})
	}
}

// waitForAcceptance sees that nothing is done to a machine that nobody has accepted, whatever else is asked for; that it
// tells what would be wiped, anew with each policy.
func (m *managed) waitForAcceptance(ctx context.Context, t *testing.T) {
	m.until(ctx, t, "planned", func(s *v1alpha2.Server) bool { return m.planned(s) })

	for _, d := range m.disks {
		m.patch(ctx, t, fmt.Sprintf(`"wipe":{"method":"zero","keep":[{"serial":%q}]}`, d.Serial))
		m.until(ctx, t, "planned to keep "+d.Serial, func(s *v1alpha2.Server) bool { return m.planned(s, d.Serial) })
		m.checkUntouched(ctx, t)
	}

	m.patch(ctx, t, `"wipe":null`)
	m.patch(ctx, t, `"wipe":`+m.policy)
	m.until(ctx, t, "planned", func(s *v1alpha2.Server) bool { return m.planned(s, m.kept()...) })

	for _, what := range []string{"on", "cycle", "off"} {
		m.ask(ctx, t, what)
	}

	m.mergeStatus(ctx, t, `{"isClean":true,"ready":true}`)
	m.until(ctx, t, "dirty", func(s *v1alpha2.Server) bool { return !s.Status.IsClean })
	m.ask(ctx, t, "cycle")

	if !m.machine.On() || m.bmc != nil && m.bmc.Asked() == 0 {
		t.Error("the machine is off, or its BMC was never asked")
	}

	m.checkUntouched(ctx, t)
}

// accept has the machine wiped.
func (m *managed) accept(ctx context.Context, t *testing.T) {
	said, err := m.Kubectl(ctx, "patch", "server", m.name, "--type", "merge", "-p", `{"spec":{"accepted":true}}`)
	must(t, said, err)

	agent := m.machine.VM()
	m.untilClean(ctx, t)
	m.checkDisks(ctx, t)
	m.checkWipeTold(t, m.server(ctx, t).Status.Wipe)

	if m.bmc == nil { // else it was started again meanwhile
		m.checkDuration(ctx, t, agent)
	} else {
		m.checkTold(t, bmc.Network, bmc.Cycle, bmc.Off)
	}
}

// checkDuration holds the wipe of the machine's disks to its time, by the machine's console.
func (m *managed) checkDuration(ctx context.Context, t *testing.T, vm *lab.VM) {
	t.Helper()

	begins, err := vm.WaitConsole(ctx, "wipe begins")
	begins = must(t, begins, err)
	ends, err := vm.WaitConsole(ctx, "reason=CLEAN")
	taken, count := must(t, ends, err).At-begins.At, len(m.disks)-len(m.kept())
	t.Logf("%d disks were wiped in %s", count, taken.Round(time.Millisecond))

	if count < 5 || taken > wipesWithin {
		t.Errorf("the wipe of %d disks took %s", count, taken)
	}
}

// checkWipeTold holds the record of the wipe to what has happened.
func (m *managed) checkWipeTold(t *testing.T, told *v1alpha2.WipeStatus) {
	t.Helper()

	if told.StartedAt == nil || told.FinishedAt == nil ||
		told.PlannedAt.After(told.StartedAt.Time) || told.FinishedAt.Before(told.StartedAt) || told.Problem != "" {
		t.Errorf("the wipe of the record is %+v", told)
	}

	for _, disk := range told.Disks {
		if (disk.Action == "wipe") != (disk.State == "done") || disk.Error != "" {
			t.Errorf("the record of a disk is %+v", disk)
		}
	}

	if len(told.Disks) != len(m.disks) {
		t.Errorf("%d disks are on record, want %d", len(told.Disks), len(m.disks))
	}
}

// cordon takes the server out of its classes, and puts it back.
func (m *managed) cordon(ctx context.Context, t *testing.T) {
	before := m.changes()

	listed := func(want bool) {
		eventually(ctx, t, func() error {
			class := &v1alpha2.ServerClass{}
			if err := m.client.Get(ctx, client.ObjectKey{Name: v1alpha2.ServerClassAny}, class); err != nil {
				return err
			}

			if slices.Contains(class.Status.ServersAvailable, m.name) != want {
				return fmt.Errorf("that it is available is not %v: %w", want, errNotYet)
			}

			return nil
		})
	}

	listed(true)

	for _, cordoned := range []bool{true, false} {
		said, err := m.Kubectl(ctx, "patch", "server", m.name, "--type", "merge", "-p", fmt.Sprintf(`{"spec":{"cordoned":%v}}`, cordoned))
		must(t, said, err)
		listed(!cordoned)
	}

	if !slices.Equal(m.changes(), before) {
		t.Errorf("its BMC was told %q", m.changes())
	}

	m.checkDisks(ctx, t)
}

// switchPower sees that the machine's power is as a person says, and as its server's state wants it.
func (m *managed) switchPower(ctx context.Context, t *testing.T) {
	if m.bmc == nil {
		// Its agent does what nothing else could, and does it once.
		said, err := m.Tool(ctx, "", "sidero-appliance", "power", "off", m.name)
		if said = must(t, said, err); !strings.Contains(said, "its agent turns it off") {
			t.Errorf("power off says %q", said)
		}

		m.untilOn(ctx, t, false)
		must(t, 0, m.machine.TurnOn(lab.FromNetwork))
		m.untilRegistered(ctx, t)

		return
	}

	cli := func(what string) {
		said, err := m.Tool(ctx, "", "sidero-appliance", "power", what, m.name)
		must(t, said, err)
	}
	from := len(m.changes())
	told := func(want ...string) {
		if got := m.changes()[from:]; !slices.Equal(got, want) {
			t.Errorf("its BMC was told %q, want %q", got, want)
		}

		from = len(m.changes())
	}

	// A clean one is to be off.
	m.ask(ctx, t, "on")
	eventually(ctx, t, func() error {
		if got := m.changes(); len(got) == from || got[len(got)-1] != bmc.Off {
			return fmt.Errorf("off again: %w", errNotYet)
		}

		return nil
	})
	m.untilOn(ctx, t, false)
	told(bmc.Network, bmc.On, bmc.Off)

	// Unless a person works on it.
	m.merge(ctx, t, `{"metadata":{"annotations":{"cluster.x-k8s.io/paused":"true"}}}`)
	cli("on")
	m.untilOn(ctx, t, true)
	told(bmc.Network, bmc.On)

	starts := m.machine.Starts()
	cli("cycle")
	eventually(ctx, t, func() error {
		if m.machine.Starts() == starts {
			return fmt.Errorf("started again: %w", errNotYet)
		}

		return nil
	})
	told(bmc.Network, bmc.Cycle)
	cli("off")
	m.untilOn(ctx, t, false)
	told(bmc.Off)
	m.merge(ctx, t, `{"metadata":{"annotations":{"cluster.x-k8s.io/paused":null}}}`)
	m.checkDisks(ctx, t)
}

// use allocates the machine to somebody, who has data on it, and sees that nothing brings it to lose that, or to be restarted
// by its BMC.
func (m *managed) use(ctx context.Context, t *testing.T) {
	if m.bmc == nil {
		must(t, 0, m.machine.TurnOff())
	}

	m.fill(ctx, t)
	useAgent(ctx, t, m.client, m.name, m.machine.Description().MAC)

	bind(ctx, t, m.Installation, m.name)
	m.until(ctx, t, "in use", func(s *v1alpha2.Server) bool { return s.Status.InUse })

	var told []string
	if told = []string{bmc.Network, bmc.On}; m.bmc == nil {
		told = nil
		must(t, 0, m.machine.TurnOn(lab.FromNetwork))
	}

	m.untilOn(ctx, t, true)

	// What it boots is the agent, which is the worst place to be for it.
	for range 2 {
		m.untilRegistered(ctx, t)
		m.machine.VM().Console.Forget()
		m.mergeStatus(ctx, t, `{"isClean":false,"inUse":false,"wipe":null,"conditions":null,"phase":"Waiting"}`)
	}

	m.until(ctx, t, "in use", func(s *v1alpha2.Server) bool { return s.Status.InUse })
	m.checkUntouched(ctx, t, told...)
}

// bind allocates a server, as the controllers of clusters do.
func bind(ctx context.Context, t *testing.T, i *installation.Installation, name string) {
	t.Helper()

	binding := fmt.Sprintf(`{"apiVersion":"infrastructure.cluster.x-k8s.io/v1alpha3","kind":"ServerBinding","metadata":{"name":%q},`+
		`"spec":{"metalMachineRef":{"kind":"MetalMachine","namespace":"default","name":"somebody"}}}`, name)
	said, err := i.Tool(ctx, binding, "kubectl", "create", "-f", "-")
	must(t, said, err)
}

// giveBack takes the machine from who has it: it is wiped.
func (m *managed) giveBack(ctx context.Context, t *testing.T) {
	said, err := m.Kubectl(ctx, "delete", "serverbinding", m.name)
	must(t, said, err)
	m.untilClean(ctx, t)
	m.checkDisks(ctx, t)
}

// withdraw takes the licence to manage the machine back: it is left alone again, whatever is asked for.
func (m *managed) withdraw(ctx context.Context, t *testing.T) {
	m.fill(ctx, t)
	m.patch(ctx, t, `"accepted":false`)
	m.until(ctx, t, "left alone", func(s *v1alpha2.Server) bool { return s.Status.Phase == "Registered" })

	if m.bmc != nil { // a person comes along
		must(t, 0, m.machine.TurnOn(lab.FromNetwork))
		m.bmc.Press(true)
		m.untilRegistered(ctx, t)
		m.until(ctx, t, "known to be on", func(s *v1alpha2.Server) bool { return s.Status.Power == v1alpha2.PowerOn })
	}

	for _, what := range []string{"on", "cycle", "off"} {
		m.ask(ctx, t, what)
		m.mergeStatus(ctx, t, `{"isClean":false,"wipe":null}`)
	}

	// That its agent tells a plan anew shows that it has had its orders.
	m.patch(ctx, t, `"wipe":{"keep":[]}`)
	m.until(ctx, t, "planned", func(s *v1alpha2.Server) bool { return m.planned(s) })

	m.checkUntouched(ctx, t)
}
