//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
)

const (
	bmcAddress = "172.30.0.201"
	keptSerial = "KEEP"
	keptLabel  = "PRECIOUS"
	otherLabel = "ANYTHING"
)

// managed is a machine that an appliance manages, with the witnesses of what is done to it.
type managed struct {
	*installation.Installation

	client client.Client
	// name is the Server's.
	name    string
	machine *bmc.Machine
	// bmc is nil for a machine that only a person can turn on and off.
	bmc   bmc.BMC
	disks []*dataDisk
	// policy is spec.wipe as JSON.
	policy string

	// written are QEMU's counts of writes, and told what the BMC was told, when the disks were filled last.
	written []int
	told    []string
}

// kind makes one machine of a kind.
type kind struct {
	machine lab.Machine
	// keep are the numbers of the disks that are kept, and policy the rule for it.
	keep   []int
	policy string
	// bmc starts its BMC, which power tells of.
	bmc   func(*lab.Node, *bmc.Machine) (bmc.BMC, error)
	power func(bmc.BMC) string
}

// ipmiPower is how a BIOS machine's power is controlled by IPMI.
func ipmiPower(b bmc.BMC) string {
	return fmt.Sprintf(`"pxeMode":"bios","bmc":{"endpoint":%q,"port":%d,"user":%q,"pass":%q}`,
		bmcAddress, b.(*bmc.IPMI).Port(), bmc.User, bmc.Password)
}

// kinds are one with IPMI, one with Redfish and one without a BMC, each of another firmware.
func kinds() []kind {
	return []kind{
		{
			machine: lab.Machine{Name: "ipmi", Firmware: lab.BIOS, Disks: []lab.Disk{
				{Size: serverDiskSize, Bus: lab.SATA, Serial: "IPMI0"}, {Size: serverDiskSize, Serial: keptSerial},
			}},
			keep: []int{1}, policy: `{"keep":[{"serial":"` + keptSerial + `"}]}`,
			bmc:   func(node *lab.Node, m *bmc.Machine) (bmc.BMC, error) { return bmc.NewIPMI(node, bmcAddress+":0", m) },
			power: ipmiPower,
		},
		{
			machine: lab.Machine{Name: "redfish", Firmware: lab.UEFI, Disks: []lab.Disk{
				{Size: serverDiskSize, Bus: lab.NVMe, Serial: "REDFISH0"},
				{Size: serverDiskSize, Bus: lab.VirtioSCSI, Serial: "REDFISH1"},
			}},
			keep: []int{1}, policy: `{"keep":[{"label":"` + keptLabel + `"}]}`,
			bmc: func(node *lab.Node, m *bmc.Machine) (bmc.BMC, error) { return bmc.NewRedfish(node, bmcAddress+":0", m) },
			power: func(b bmc.BMC) string {
				return fmt.Sprintf(`"pxeMode":"uefi","power":{"driver":"redfish","redfish":{"endpoint":%q}},`+
					`"bmc":{"endpoint":%q,"user":%q,"pass":%q}`,
					b.(*bmc.Redfish).Address(), bmcAddress, bmc.User, bmc.Password)
			},
		},
		{
			machine: lab.Machine{Name: "plain", Firmware: lab.UEFIHTTP, Disks: []lab.Disk{
				{Size: serverDiskSize, Serial: "PLAIN0"}, {Size: serverDiskSize, Serial: "PLAIN1"},
				{Size: serverDiskSize, Bus: lab.NVMe, Serial: "PLAIN2"},
				{Size: serverDiskSize, Bus: lab.SATA, Serial: "PLAIN3"}, {Size: serverDiskSize, Bus: lab.VirtioSCSI, Serial: "PLAIN4"},
				{Size: serverDiskSize, Bus: lab.SATA, Serial: keptSerial},
			}},
			keep: []int{5}, policy: `{"keep":[{"serial":"` + keptSerial + `"}]}`,
		},
	}
}

// make is a machine of the kind, off, with data on its disks.
func (k kind) make(t *testing.T, i *installation.Installation) *managed {
	t.Helper()

	m := &managed{Installation: i, client: admin(t, i), machine: bmc.NewMachine(i.Lab, k.machine), policy: k.policy}
	m.name = m.machine.Description().UUID.String()

	m.closeAtEnd(t)

	for n, disk := range m.machine.Description().Disks {
		d := &dataDisk{
			Disk: disk, path: filepath.Join(i.DataDir, "../lab", k.machine.Name, fmt.Sprintf("%d.disk", n)),
			label: otherLabel, keep: slices.Contains(k.keep, n),
		}
		if d.keep {
			d.label = keptLabel
		}

		m.disks = append(m.disks, d)
	}

	m.fill(t.Context(), t)

	return m
}

// closeAtEnd switches the machine off when the test ends, and shows what it said if the test has failed.
func (m *managed) closeAtEnd(t *testing.T) {
	t.Helper()

	t.Cleanup(func() {
		if m.bmc != nil {
			if err := m.bmc.Close(); err != nil {
				t.Error(err)
			}
		}

		if vm := m.machine.VM(); vm != nil && t.Failed() {
			showLog(t, vm.Console.Path())
		}

		if err := m.machine.Close(); err != nil {
			t.Error(err)
		}
	})
}

// fill puts data on all disks, whatever was done to them before. From here on nothing counts that was before.
func (m *managed) fill(ctx context.Context, t *testing.T) {
	t.Helper()

	for _, d := range m.disks {
		d.fill(t)
	}

	m.written, m.told = m.writes(ctx, t), m.changes()
}

func (m *managed) writes(ctx context.Context, t *testing.T) []int {
	t.Helper()

	writes, err := m.machine.Writes(ctx)

	return must(t, writes, err)
}

func (m *managed) server(ctx context.Context, t *testing.T) *v1alpha2.Server {
	t.Helper()

	return server(ctx, t, m.client, m.name)
}

// patch changes the Server's spec, by the JSON of its fields.
func (m *managed) patch(ctx context.Context, t *testing.T, fields string) {
	t.Helper()

	m.merge(ctx, t, `{"spec":{`+fields+`}}`)
}

func (m *managed) merge(ctx context.Context, t *testing.T, patch string) {
	t.Helper()

	s := &v1alpha2.Server{}
	s.Name = m.name

	if err := m.client.Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// mergeStatus changes the Server's status, as somebody may who has the right.
func (m *managed) mergeStatus(ctx context.Context, t *testing.T, patch string) {
	t.Helper()

	s := &v1alpha2.Server{}
	s.Name = m.name

	if err := m.client.Status().Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(`{"status":`+patch+`}`))); err != nil {
		t.Fatal(err)
	}
}

// until waits until the Server is as asked for.
func (m *managed) until(ctx context.Context, t *testing.T, what string, good func(*v1alpha2.Server) bool) *v1alpha2.Server {
	t.Helper()

	var s *v1alpha2.Server

	eventually(ctx, t, func() error {
		if s = m.server(ctx, t); !good(s) {
			return fmt.Errorf("%s is not %s, but %s, waiting for %q: %w", m.name, what, s.Status.Phase, s.Status.WaitingFor, errNotYet)
		}

		return nil
	})

	return s
}

// untilOn waits until QEMU runs, or has ended.
func (m *managed) untilOn(ctx context.Context, t *testing.T, on bool) {
	t.Helper()

	eventually(ctx, t, func() error {
		if m.machine.On() != on {
			return fmt.Errorf("%s is not on=%v: %w", m.name, on, errNotYet)
		}

		return nil
	})
}

// changes are what its BMC was told to change.
func (m *managed) changes() []string {
	if m.bmc == nil {
		return nil
	}

	return m.bmc.Changes()
}

// checkUntouched sees that not a byte of any disk has changed since they were filled, that QEMU has seen no write, and that
// the BMC was told to change nothing but what is given.
func (m *managed) checkUntouched(ctx context.Context, t *testing.T, changes ...string) {
	t.Helper()

	for _, d := range m.disks {
		if !d.intact(t) {
			t.Errorf("data of %s has changed", d.Serial)
		}
	}

	if writes := m.writes(ctx, t); !slices.Equal(writes, m.written) {
		t.Errorf("disks were written to: %v, before %v", writes, m.written)
	}

	m.checkTold(t, changes...)
}

// checkTold sees what the BMC was told to change since the disks were filled.
func (m *managed) checkTold(t *testing.T, changes ...string) {
	t.Helper()

	if got := m.changes()[len(m.told):]; !slices.Equal(got, changes) {
		t.Errorf("its BMC was told %q, want %q", got, changes)
	}
}

// checkDisks sees that those disks are wiped that shall be, and that the others were not written to.
func (m *managed) checkDisks(ctx context.Context, t *testing.T) {
	t.Helper()

	writes := m.writes(ctx, t)

	for n, d := range m.disks {
		switch {
		case !d.keep:
			d.checkWiped(t)
		case !d.intact(t) || writes[n] != m.written[n]:
			t.Errorf("%s was to be kept, and has had %d writes", d.Serial, writes[n]-m.written[n])
		}
	}
}

// planned tells whether the plan on the Server is to keep those disks, by their serial numbers, and to wipe all others, and
// none of it is begun.
func (m *managed) planned(s *v1alpha2.Server, keep ...string) bool {
	plan := s.Status.Wipe
	if plan == nil || plan.StartedAt != nil || plan.PlannedAt == nil || len(plan.Disks) != len(m.disks) {
		return false
	}

	return !slices.ContainsFunc(m.disks, func(d *dataDisk) bool {
		at := slices.IndexFunc(plan.Disks, func(p v1alpha2.WipeDiskStatus) bool { return strings.HasSuffix(p.Description, "serial "+d.Serial) })

		return at < 0 || (plan.Disks[at].Action == "keep") != slices.Contains(keep, d.Serial)
	})
}

// kept are the serial numbers of the disks that the Server's policy keeps.
func (m *managed) kept() []string {
	var serials []string

	for _, d := range m.disks {
		if d.keep {
			serials = append(serials, d.Serial)
		}
	}

	return serials
}

// ask is a person who asks for the machine's power, and waits until that is taken up.
func (m *managed) ask(ctx context.Context, t *testing.T, what string) {
	t.Helper()

	m.merge(ctx, t, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha2.PowerRequestAnnotation, what))
	m.until(ctx, t, "asked", func(s *v1alpha2.Server) bool { return s.Annotations[v1alpha2.PowerRequestAnnotation] == "" })
}

// register is a person who starts the machine from the network, once, and tells the appliance of its BMC, which listens on
// the node.
func (m *managed) register(ctx context.Context, t *testing.T, k kind, node *lab.Node) {
	t.Helper()

	must(t, 0, m.machine.TurnOn(lab.FromNetwork))

	if k.bmc != nil {
		b, err := k.bmc(node, m.machine)
		m.bmc = must(t, b, err)
	}

	m.untilRegistered(ctx, t)
	t.Logf("registered after %s", m.machine.VM().Elapsed().Round(time.Second))

	if m.bmc != nil {
		m.patch(ctx, t, k.power(m.bmc))
		m.until(ctx, t, "known to be on", func(s *v1alpha2.Server) bool { return s.Status.Power == v1alpha2.PowerOn })
	}
}

// untilRegistered waits until the machine's agent says so. It knows its UUID then, and learns its Server's name with its first order.
func (m *managed) untilRegistered(ctx context.Context, t *testing.T) {
	t.Helper()

	if _, err := m.machine.VM().WaitConsole(ctx, console.LineRegistered+m.machine.Description().UUID.String()); err != nil {
		t.Fatal(err)
	}
}

// untilClean waits until the machine is clean, and off if it can be turned off.
func (m *managed) untilClean(ctx context.Context, t *testing.T) {
	t.Helper()

	began := time.Now()

	m.until(ctx, t, "clean", func(s *v1alpha2.Server) bool { return s.Status.IsClean })

	if m.bmc != nil {
		m.untilOn(ctx, t, false)
	}

	t.Logf("clean after %s, its BMC was told %q", time.Since(began).Round(time.Second), m.changes()[len(m.told):])
}
