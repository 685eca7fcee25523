//go:build e2e

package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	bootsWithin = 3 * time.Minute
	// advisedWithin is how long a registered machine takes to show what to do next.
	advisedWithin = 10 * time.Second
	// quiet is how long a registered machine is watched to see that it stays as it is.
	quiet = 5 * time.Second
	// oldIPXE is the machine whose network card brings iPXE 1.0.0, which cannot start a kernel under UEFI.
	oldIPXE = "old-ipxe"
)

// others are a machine whose network card has an iPXE in its ROM that is too old for UEFI, and one with a card that the
// agent's second initramfs has the driver for. The disks of both need that too: it has arrived under UEFI and BIOS.
func others() []lab.Machine {
	return []lab.Machine{
		{Name: oldIPXE, NIC: "e1000e", Firmware: lab.UEFI, Disks: []lab.Disk{{Size: 2 << 30, Bus: lab.MegaRAID}}},
		{Name: "vmware", NIC: "vmxnet3", Firmware: lab.BIOS, Disks: []lab.Disk{{Size: 2 << 30, Bus: lab.PVSCSI}}},
	}
}

// TestBoot boots one blank machine of each firmware, from power-on to its Server, and the others.
func TestBoot(t *testing.T) {
	ctx, i := start(t, bootsWithin, "--log-level=debug")
	c := admin(t, i)

	for _, machine := range append(lab.Presets(), others()...) {
		t.Run(machine.Name, func(t *testing.T) {
			t.Parallel()

			b := &booting{Installation: i, client: c, machine: machine.WithDefaults()}
			b.machine.Capture = true
			b.writeDisks(t)
			b.powerOn(ctx, t)
			b.checkServer(ctx, t)
			b.checkSteps(ctx, t)
			b.checkWaiting(ctx, t)
			b.powerOff(t)
			b.checkFirmware(t)

			if machine.Name == "bios" { // the quickest; what follows is the same for all
				b.checkSecondBoot(ctx, t)
			}
		})
	}
}

// booting is one machine on its way.
type booting struct {
	*installation.Installation

	client  client.Client
	machine lab.Machine
	vm      *lab.VM
	// registered is when the machine said that it is.
	registered time.Time
}

func (b *booting) powerOn(ctx context.Context, t *testing.T) {
	t.Helper()

	vm, err := b.Lab.PowerOn(ctx, b.machine)
	b.vm = must(t, vm, err)

	if _, err := vm.WaitConsole(ctx, `sidero-agent: registered server=`+b.machine.UUID.String()); err != nil {
		t.Fatal(err)
	}

	soon, cancel := context.WithTimeout(ctx, advisedWithin)
	defer cancel()

	for _, advice := range []string{`kubectl patch server ` + b.machine.UUID.String() + ` --type merge`, `-p '{"spec":{"accepted":true}}'`} {
		if _, err := vm.WaitConsole(soon, regexp.QuoteMeta(advice)); err != nil {
			t.Error(err)
		}
	}

	b.registered = time.Now()
	t.Logf("registered %s after power-on", vm.Elapsed().Round(100*time.Millisecond))
}

// checkServer holds the Server to the machine that the lab made.
func (b *booting) checkServer(ctx context.Context, t *testing.T) {
	t.Helper()

	s := server(ctx, t, b.client, b.machine.UUID.String())
	if s.Spec.Accepted || s.Status.IsClean || s.Status.InUse {
		t.Errorf("a machine that nobody has accepted: %+v, %+v", s.Spec, s.Status)
	}

	hardware, smbios := s.Spec.Hardware, b.machine.SMBIOS
	wantSystem := v1alpha2.SystemInformation{
		UUID: s.Name, SerialNumber: smbios.Serial, ProductName: smbios.Product, Manufacturer: smbios.Manufacturer, SKUNumber: smbios.SKU,
	}

	gotSystem := *hardware.System
	gotSystem.Version = "" // of QEMU's board
	if smbios.Product == "" {
		gotSystem.ProductName, gotSystem.Manufacturer = "", ""
	}

	if gotSystem != wantSystem {
		t.Errorf("system is %+v, want %+v", gotSystem, wantSystem)
	}

	if want := fmt.Sprintf("%d GB", b.machine.Memory>>10); hardware.Memory.TotalSize != want {
		t.Errorf("memory is %s, want %s", hardware.Memory.TotalSize, want)
	}

	if hardware.Compute.ProcessorCount != 1 || hardware.Compute.TotalCoreCount != 1 {
		t.Errorf("compute is %+v, want one processor with one core", hardware.Compute)
	}

	b.checkDisks(t, hardware.Storage)
	b.checkNetwork(t, s)
}

func (b *booting) checkDisks(t *testing.T, storage *v1alpha2.StorageInformation) {
	t.Helper()

	names := map[lab.Bus]string{
		lab.SATA: "/dev/sd", lab.NVMe: "/dev/nvme", lab.Virtio: "/dev/vd", lab.MegaRAID: "/dev/sd", lab.PVSCSI: "/dev/sd",
	}

	if len(storage.Devices) != len(b.machine.Disks) {
		t.Fatalf("%d disks: %+v, want %d", len(storage.Devices), storage, len(b.machine.Disks))
	}

	for _, disk := range b.machine.Disks {
		if !slices.ContainsFunc(storage.Devices, func(d *v1alpha2.StorageDevice) bool {
			return d.Serial == disk.Serial && d.Size == disk.Size && strings.HasPrefix(d.DeviceName, names[disk.Bus])
		}) {
			t.Errorf("no disk is %+v", disk)
		}
	}
}

// checkNetwork holds the Server's NIC and address to the machine and to the LAN's DHCP server.
func (b *booting) checkNetwork(t *testing.T, s *v1alpha2.Server) {
	t.Helper()

	interfaces := s.Spec.Hardware.Network.Interfaces
	if len(interfaces) != 1 || interfaces[0].MAC != b.machine.MAC.String() {
		t.Errorf("interfaces are %+v, want one with %s", interfaces, b.machine.MAC)
	}

	b.checkAddresses(t, s)
}

// checkAddresses holds the IPv4 address to the lease. An IPv6 address, which the kernel makes by itself, may be there
// before the machine registers or not.
func (b *booting) checkAddresses(t *testing.T, s *v1alpha2.Server) {
	t.Helper()

	var internal []string

	for _, address := range s.Status.Addresses {
		if address.Type == corev1.NodeInternalIP && netip.MustParseAddr(address.Address).Is4() {
			internal = append(internal, address.Address)
		}
	}

	if len(internal) != 1 || !slices.Contains(b.leased(t), internal[0]) {
		t.Errorf("addresses are %v, the machine leased %v", s.Status.Addresses, b.leased(t))
	}
}

// leased are the addresses that the LAN gave the machine: firmware and kernel may each have their own.
func (b *booting) leased(t *testing.T) []string {
	t.Helper()

	leases, err := b.Lab.LANLeases()

	var addresses []string
	for _, lease := range must(t, leases, err) {
		if lease.MAC.String() == b.machine.MAC.String() {
			addresses = append(addresses, lease.Address.String())
		}
	}

	return addresses
}

// checkWaiting sees that a registered machine neither restarts nor writes.
func (b *booting) checkWaiting(ctx context.Context, t *testing.T) {
	t.Helper()

	b.vm.Events.Forget()

	watched, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()

	line, err := b.vm.Events.Wait(watched, "RESET|SHUTDOWN")
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		t.Errorf("a machine that shall wait: %s %v", line.Text, err)
	}

	writes, err := b.vm.Writes(ctx)
	if slices.ContainsFunc(must(t, writes, err), func(count int) bool { return count != 0 }) {
		t.Errorf("disks of a machine that nobody has accepted were written to: %v", writes)
	}
}

// precious is somebody's data.
func precious(disk lab.Disk) []byte {
	data := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%-32s", disk.Serial)))).Read(data)

	return data
}

func (b *booting) diskPath(n int) string {
	return filepath.Join(b.DataDir, "../lab", b.machine.Name, fmt.Sprintf("%d.disk", n))
}

// writeDisks puts data at both ends of each disk, where partition tables are.
func (b *booting) writeDisks(t *testing.T) {
	t.Helper()

	for n, disk := range b.machine.Disks {
		path, data := b.diskPath(n), precious(disk)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}

		file, err := os.Create(path)
		file = must(t, file, err)

		_, first := file.WriteAt(data, 0)
		_, last := file.WriteAt(data, disk.Size-int64(len(data)))

		if err := errors.Join(first, last, file.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// powerOff ends the machine and looks at what it left on its disks.
func (b *booting) powerOff(t *testing.T) {
	t.Helper()

	if err := b.vm.PowerOff(); err != nil {
		t.Fatal(err)
	}

	for n, disk := range b.machine.Disks {
		data := precious(disk)
		if path := b.diskPath(n); !fileHolds(t, path, 0, data) || !fileHolds(t, path, disk.Size-int64(len(data)), data) {
			t.Errorf("data of disk %d of %s is gone", n, b.machine.Name)
		}
	}
}

// checkSecondBoot boots the known machine again: it stays the Server that it was.
func (b *booting) checkSecondBoot(ctx context.Context, t *testing.T) {
	t.Helper()

	before := server(ctx, t, b.client, b.machine.UUID.String())

	b.powerOn(ctx, t)

	if !logged(b.Installation, "machine registered", "server", before.Name, "new", "false") {
		t.Error("the machine was taken for a new one")
	}

	after := server(ctx, t, b.client, before.Name)
	b.checkAddresses(t, after)

	if after.UID != before.UID {
		t.Errorf("the machine is another server: uid %s, was %s", after.UID, before.UID)
	}

	known := &v1alpha2.ServerList{}
	if err := b.client.List(ctx, known); err != nil {
		t.Fatal(err)
	}

	for _, s := range known.Items {
		if s.Name != before.Name && s.Spec.Hardware.System.SerialNumber == before.Spec.Hardware.System.SerialNumber {
			t.Errorf("there are two servers for one machine: %s and %s", before.Name, s.Name)
		}
	}

	b.checkOneEvent(ctx, t)
	b.powerOff(t)
}

// checkOneEvent sees that of two registrations of the server the first one only made an Event. A new machine registers
// after both: once its Event is there, theirs are.
func (b *booting) checkOneEvent(ctx context.Context, t *testing.T) {
	t.Helper()

	name, marker := b.machine.UUID.String(), newcomer(1)
	register(ctx, t, connect(t, b.Installation), marker)

	of := func(server string) (found []eventsv1.Event) {
		list := &eventsv1.EventList{}
		if err := b.client.List(ctx, list, client.InNamespace(corev1.NamespaceDefault)); err != nil {
			t.Fatal(err)
		}

		for _, event := range list.Items {
			if event.Regarding.Name == server && event.Reason != "Server Boot" { // its steps
				found = append(found, event)
			}
		}

		return found
	}

	eventually(ctx, t, func() error {
		if len(of(marker)) == 0 {
			return fmt.Errorf("Event of %s: %w", marker, errNotYet)
		}

		return nil
	})

	found := of(name)
	if len(found) != 1 || found[0].Series != nil || found[0].Reason != "Server Registration" || found[0].Regarding.Kind != "Server" {
		t.Errorf("Events of %s: %+v, want one for the first registration", name, found)
	}
}
