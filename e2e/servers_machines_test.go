//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
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

	client  client.Client
	machine *bmc.Machine
	// bmc is nil for a machine that only a person can turn on and off.
	bmc   bmc.BMC
	disks []*dataDisk
	// policy is spec.wipe, and power the rest of what a person tells of the machine, both as JSON.
	policy, power string
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

const disksOfSize = serverDiskSize

// kinds are one with IPMI, one with Redfish and one without a BMC, each of another firmware.
func kinds() []kind {
	return []kind{
		{
			machine: lab.Machine{Name: "ipmi", Firmware: lab.BIOS, Disks: []lab.Disk{
				{Size: disksOfSize, Bus: lab.SATA, Serial: "IPMI0"}, {Size: disksOfSize, Serial: keptSerial},
			}},
			keep: []int{1}, policy: `{"keep":[{"serial":"` + keptSerial + `"}]}`,
			bmc: func(node *lab.Node, m *bmc.Machine) (bmc.BMC, error) { return bmc.NewIPMI(node, bmcAddress+":0", m) },
			power: func(b bmc.BMC) string {
				return fmt.Sprintf(`"pxeMode":"bios","bmc":{"endpoint":%q,"port":%d,"user":%q,"pass":%q}`,
					bmcAddress, b.(*bmc.IPMI).Port(), bmc.User, bmc.Password)
			},
		},
		{
			machine: lab.Machine{Name: "redfish", Firmware: lab.UEFI, Disks: []lab.Disk{
				{Size: disksOfSize, Bus: lab.NVMe, Serial: "REDFISH0"}, {Size: disksOfSize, Bus: lab.VirtioSCSI, Serial: "REDFISH1"},
			}},
			keep: []int{1}, policy: `{"keep":[{"label":"` + keptLabel + `"}]}`,
			bmc: func(node *lab.Node, m *bmc.Machine) (bmc.BMC, error) { return bmc.NewRedfish(node, bmcAddress+":0", m) },
			power: func(b bmc.BMC) string {
				return fmt.Sprintf(`"pxeMode":"uefi","power":{"driver":"redfish","redfish":{"endpoint":%q}},"bmc":{"endpoint":%q,"user":%q,"pass":%q}`,
					b.(*bmc.Redfish).Address(), bmcAddress, bmc.User, bmc.Password)
			},
		},
		{
			machine: lab.Machine{Name: "plain", Firmware: lab.UEFIHTTP, Disks: []lab.Disk{
				{Size: disksOfSize, Serial: "PLAIN0"}, {Size: disksOfSize, Serial: "PLAIN1"}, {Size: disksOfSize, Bus: lab.NVMe, Serial: "PLAIN2"},
				{Size: disksOfSize, Bus: lab.SATA, Serial: "PLAIN3"}, {Size: disksOfSize, Bus: lab.VirtioSCSI, Serial: "PLAIN4"},
				{Size: disksOfSize, Bus: lab.SATA, Serial: keptSerial},
			}},
			keep: []int{5}, policy: `{"keep":[{"serial":"` + keptSerial + `"}]}`,
		},
	}
}

// make is a machine of the kind, off, with data on its disks.
func (k kind) make(t *testing.T, i *installation.Installation) *managed {
	t.Helper()

	m := &managed{Installation: i, client: admin(t, i), machine: bmc.NewMachine(i.Lab, k.machine), policy: k.policy}
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

	for n, disk := range m.machine.Description().Disks {
		d := &dataDisk{Disk: disk, path: filepath.Join(i.DataDir, "../lab", k.machine.Name, fmt.Sprintf("%d.disk", n)), label: otherLabel, keep: slices.Contains(k.keep, n)}
		if d.keep {
			d.label = keptLabel
		}

		d.fill(t)
		m.disks = append(m.disks, d)
	}

	return m
}

// name is the Server's.
func (m *managed) name() string { return m.machine.Description().UUID.String() }

func (m *managed) server(ctx context.Context, t *testing.T) *v1alpha2.Server {
	t.Helper()

	return server(ctx, t, m.client, m.name())
}

// patch changes the Server's spec, by the JSON of its fields.
func (m *managed) patch(ctx context.Context, t *testing.T, fields string) {
	t.Helper()

	m.merge(ctx, t, `{"spec":{`+fields+`}}`)
}

func (m *managed) merge(ctx context.Context, t *testing.T, patch string) {
	t.Helper()

	s := &v1alpha2.Server{}
	s.Name = m.name()

	if err := m.client.Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// mergeStatus changes the Server's status, as somebody may who has the right.
func (m *managed) mergeStatus(ctx context.Context, t *testing.T, patch string) {
	t.Helper()

	s := &v1alpha2.Server{}
	s.Name = m.name()

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
			return fmt.Errorf("%s is not %s, but %s, waiting for %q: %w", m.machine.Description().Name, what, s.Status.Phase, s.Status.WaitingFor, errNotYet)
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
			return fmt.Errorf("%s is not on=%v: %w", m.machine.Description().Name, on, errNotYet)
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

// checkUntouched sees that not a byte of any disk has changed, that QEMU has seen no write, and that the BMC was told
// nothing but the given.
func (m *managed) checkUntouched(ctx context.Context, t *testing.T, changes []string) {
	t.Helper()

	for _, d := range m.disks {
		if !d.intact(t) {
			t.Errorf("data of %s has changed", d.Serial)
		}
	}

	writes, err := m.machine.Writes(ctx)
	if slices.ContainsFunc(must(t, writes, err), func(count int) bool { return count != 0 }) {
		t.Errorf("disks were written to: %v", writes)
	}

	if got := m.changes(); !slices.Equal(got, changes) {
		t.Errorf("its BMC was told %q, want %q", got, changes)
	}
}

// checkDisks sees that those disks are wiped that shall be, and that the others were not written to.
func (m *managed) checkDisks(ctx context.Context, t *testing.T) {
	t.Helper()

	writes, err := m.machine.Writes(ctx)
	writes = must(t, writes, err)

	for n, d := range m.disks {
		switch {
		case !d.keep:
			d.checkWiped(t)
		case !d.intact(t) || writes[n] != 0:
			t.Errorf("%s was to be kept, and has had %d writes", d.Serial, writes[n])
		}
	}
}

// planned tells whether the plan on the Server is to wipe all disks but those that are kept, none of which is begun.
func (m *managed) planned(s *v1alpha2.Server) bool {
	plan := s.Status.Wipe
	if plan == nil || plan.StartedAt != nil || plan.PlannedAt == nil || len(plan.Disks) != len(m.disks) {
		return false
	}

	return !slices.ContainsFunc(m.disks, func(d *dataDisk) bool {
		at := slices.IndexFunc(plan.Disks, func(p v1alpha2.WipeDiskStatus) bool { return strings.Contains(p.Description, "serial "+d.Serial) })

		return at < 0 || (plan.Disks[at].Action == "keep") != d.keep
	})
}
