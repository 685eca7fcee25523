//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/console"
)

// agentImage is what "make agent" builds.
const agentImage = "../assets/images/agent-amd64"

const mebibyte, gibibyte = 1 << 20, 1 << 30

// hardware is one machine, and what the agent's image has to make of it.
type hardware struct {
	machine lab.Machine
	// refusals are calls that the appliance refuses before it takes one.
	refusals int
	// wipe is what the appliance orders.
	wipe bool
	// says are further lines of the console.
	says []string
	// disks in any order; a device name may be cut short, where it depends on which driver is quicker.
	disks []*api.StorageDevice
}

// machines have the devices that the image has drivers for, beyond what the network boots bring.
func machines(dir string) []hardware {
	return []hardware{
		{
			machine: lab.Machine{
				Name: "e1000e", NIC: "e1000e",
				SMBIOS: lab.SMBIOS{Manufacturer: "Lab", Product: "Box", SKU: "K1", Family: "F1"},
				Extra: []string{
					"-device", "virtio-scsi-pci", "-drive", "if=none,format=raw,id=scsi,file=" + filepath.Join(dir, "scsi.disk"),
					"-device", "scsi-hd,drive=scsi,serial=SCSI1,rotation_rate=1",
				},
			},
			refusals: 1,
			disks: []*api.StorageDevice{
				{Type: api.StorageType_SSD, Size: gibibyte, DeviceName: "/dev/sda", Model: "QEMU HARDDISK", Serial: "SCSI1"},
			},
		},
		{
			// What only the second initramfs has drivers for.
			machine: lab.Machine{
				Name: "rtl8139", NIC: "rtl8139",
				Disks: []lab.Disk{
					{Size: gibibyte, Bus: lab.MegaRAID, Serial: "RAID1"},
					{Size: 2 * gibibyte, Bus: lab.SAS, Serial: "SAS1"},
					{Size: 3 * gibibyte, Bus: lab.PVSCSI, Serial: "PVSCSI1"},
				},
				Extra: []string{"-device", "ipmi-bmc-sim,id=bmc", "-device", "isa-ipmi-kcs,bmc=bmc"},
			},
			says: []string{`ipmi_si .*IPMI kcs interface initialized`, "ipmi device interface"},
			disks: []*api.StorageDevice{
				{Type: api.StorageType_HDD, Size: gibibyte, DeviceName: "/dev/sd", Model: "QEMU HARDDISK", Serial: "RAID1"},
				{Type: api.StorageType_HDD, Size: 2 * gibibyte, DeviceName: "/dev/sd", Model: "QEMU HARDDISK", Serial: "SAS1"},
				{Type: api.StorageType_HDD, Size: 3 * gibibyte, DeviceName: "/dev/sd", Model: "QEMU HARDDISK", Serial: "PVSCSI1"},
			},
		},
		{
			// All of it comes up by and by: the NIC, the stick, the disk in its case, the card in its slot.
			machine: lab.Machine{
				Name: "usb", NIC: "usb-net",
				Disks: []lab.Disk{
					{Size: gibibyte, Bus: lab.USB, Serial: "STICK1"},
					{Size: 2 * gibibyte, Bus: lab.UAS, Serial: "CASE1"},
					{Size: 4 * gibibyte, Bus: lab.SD},
				},
			},
			disks: []*api.StorageDevice{
				{Type: api.StorageType_HDD, Size: gibibyte, DeviceName: "/dev/sd", Model: "QEMU HARDDISK", Serial: "STICK1"}, // of the USB descriptor
				{Type: api.StorageType_HDD, Size: 2 * gibibyte, DeviceName: "/dev/sd", Model: "QEMU HARDDISK", Serial: "CASE1"},
				{Type: api.StorageType_SD, Size: 4 * gibibyte, DeviceName: "/dev/mmcblk0", Serial: "0xdeadbeef"},
			},
		},
		{
			machine: lab.Machine{
				Name: "e1000", NIC: "e1000",
				Disks:        []lab.Disk{{Size: 8 * mebibyte, Serial: "PRECIOUS"}},
				NoRandomness: true,
			},
			wipe: true,
			disks: []*api.StorageDevice{
				{Type: api.StorageType_HDD, Size: 8 * mebibyte, DeviceName: "/dev/vda", Serial: "PRECIOUS"},
			},
		},
		{
			machine: lab.Machine{
				Name: "disks",
				Disks: []lab.Disk{
					{Size: gibibyte, Bus: lab.Virtio, Serial: "VIRT1"},
					{Size: 2 * gibibyte, Bus: lab.NVMe, Serial: "NVME1"},
					{Size: 3 * gibibyte, Bus: lab.SATA, Serial: "ATA1"},
				},
				Extra: []string{"-device", "ide-cd,bus=ide.1"}, // no disk
			},
			disks: []*api.StorageDevice{
				{Type: api.StorageType_NVMe, Size: 2 * gibibyte, DeviceName: "/dev/nvme0n1", Model: "QEMU NVMe Ctrl", Serial: "NVME1"},
				{Type: api.StorageType_HDD, Size: 3 * gibibyte, DeviceName: "/dev/sda", Model: "QEMU HARDDISK", Serial: "ATA1"},
				{Type: api.StorageType_HDD, Size: gibibyte, DeviceName: "/dev/vda", Serial: "VIRT1"},
			},
		},
	}
}

// TestAgentHardware starts the agent's image, without a network boot, on network cards, disk controllers and a processor
// that the other tests' machines do not have.
func TestAgentHardware(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)

	if _, err := os.Stat(filepath.Join(agentImage, "manifest.json")); err != nil {
		t.Fatalf("find the agent's image: %v; run \"make agent\" first", err)
	}

	l, err := lab.New(ctx, lab.Config{Dir: dir})
	l = must(t, l, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})

	writePrecious(t, filepath.Join(dir, "scsi.disk"), gibibyte)
	joinInitramfs(t, filepath.Join(dir, "initramfs"))

	for _, h := range machines(dir) {
		t.Run(h.machine.Name, func(t *testing.T) {
			t.Parallel()

			for n, disk := range h.machine.Disks {
				writePrecious(t, filepath.Join(dir, h.machine.Name, fmt.Sprintf("%d.disk", n)), disk.Size)
			}

			h.machine.Memory = 512
			h.machine.Boot = lab.FromDisk
			h.register(ctx, t, l, dir)
		})
	}
}

// joinInitramfs makes one file of the two, as the kernel gets them from iPXE.
func joinInitramfs(t *testing.T, path string) {
	t.Helper()

	var joined []byte

	for _, name := range []string{"initramfs.xz", "drivers.zst"} {
		part, err := os.ReadFile(filepath.Join(agentImage, name))
		joined = append(joined, must(t, part, err)...)
	}

	if err := os.WriteFile(path, joined, 0o644); err != nil {
		t.Fatal(err)
	}
}

// register powers the machine on, holds what it tells to what it is, and its disks to what they were.
func (h hardware) register(ctx context.Context, t *testing.T, l *lab.Lab, dir string) {
	t.Helper()

	a := serveAgents(ctx, t, l, h)
	h.machine = h.machine.WithDefaults()
	h.machine.Kernel = &lab.Kernel{
		Path: filepath.Join(agentImage, "vmlinuz"), Initramfs: filepath.Join(dir, "initramfs"),
		CommandLine: "consoleblank=0 console=ttyS0 panic=30 sidero.mac=" + h.machine.MAC.String() + " sidero.endpoint=" + a.endpoint,
	}

	vm, err := l.PowerOn(ctx, h.machine)
	vm = must(t, vm, err)
	t.Cleanup(func() {
		if t.Failed() {
			showLog(t, vm.Console.Path())
		}
	})

	request, addresses := await(ctx, t, "registration", a.created), await(ctx, t, "addresses", a.addressed)
	uuid := h.machine.UUID.String()

	says := append(h.says, "interface found", "link up", console.LineNetworkUp, "drivers loaded", console.LineRegistered+uuid)
	if h.refusals > 0 {
		says = append(says, "not registered .*the appliance is starting", "This machine is NOT registered")
	}

	if h.machine.NoRandomness {
		says = append(says, "waiting for the kernel to gather random numbers", "the kernel has random numbers")
	}

	if h.wipe {
		says = append(says, "This machine is registered and accepted", "Its disks are left as they are")
	} else {
		says = append(says, `This machine is registered\.`, "kubectl patch server "+uuid+` --type merge \\`, `-p '{"spec":{"accepted":true}}'`)
	}

	for _, text := range says {
		line, err := vm.WaitConsole(ctx, text)
		if err != nil {
			t.Fatal(err)
		}

		t.Logf("%5.1fs %s", line.At.Seconds(), line.Text)
	}

	if err := vm.PowerOff(); err != nil {
		t.Error(err)
	}

	folder := filepath.Dir(vm.Console.Path())
	for n, disk := range h.machine.Disks {
		checkPrecious(t, filepath.Join(folder, fmt.Sprintf("%d.disk", n)), disk.Size)
	}

	h.checkSystem(t, request)
	h.checkDisks(t, request.GetHardware().GetStorage())
	h.checkNetwork(t, request.GetHardware().GetNetwork(), addresses)
}

func (h hardware) checkSystem(t *testing.T, request *api.CreateServerRequest) {
	t.Helper()

	system, smbios := request.GetHardware().GetSystem(), h.machine.SMBIOS
	got := []string{system.GetUuid(), system.GetSerialNumber(), system.GetSkuNumber(), system.GetFamily()}
	want := []string{h.machine.UUID.String(), smbios.Serial, smbios.SKU, smbios.Family}

	if smbios.Manufacturer != "" { // else they are QEMU's own
		got, want = append(got, system.GetManufacturer(), system.GetProductName()), append(want, smbios.Manufacturer, smbios.Product)
	}

	if !slices.Equal(got, want) {
		t.Errorf("system is %q, want %q", got, want)
	}

	if compute := request.GetHardware().GetCompute(); compute.GetProcessorCount() != 1 || compute.GetTotalCoreCount() != 1 {
		t.Errorf("compute is %v", compute)
	}

	if memory := request.GetHardware().GetMemory(); memory.GetTotalSize() != uint32(h.machine.Memory) || memory.GetModuleCount() != 1 {
		t.Errorf("memory is %v", memory)
	}
}

func (h hardware) checkDisks(t *testing.T, got *api.StorageInformation) {
	t.Helper()

	if int(got.GetDeviceCount()) != len(h.disks) || len(got.GetDevices()) != len(h.disks) {
		t.Fatalf("%d disks counted, %d listed, want %d: %v", got.GetDeviceCount(), len(got.GetDevices()), len(h.disks), got)
	}

	for _, want := range h.disks {
		if !slices.ContainsFunc(got.GetDevices(), func(found *api.StorageDevice) bool {
			return found.GetType() == want.GetType() && found.GetSize() == want.GetSize() && strings.HasPrefix(found.GetDeviceName(), want.GetDeviceName()) &&
				found.GetModel() == want.GetModel() && found.GetSerial() == want.GetSerial()
		}) {
			t.Errorf("no disk is %v: %v", want, got)
		}
	}
}

func (h hardware) checkNetwork(t *testing.T, got *api.NetworkInformation, addresses *api.ReconcileServerAddressesRequest) {
	t.Helper()

	if len(got.GetInterfaces()) != 1 {
		t.Fatalf("interfaces are %v, want one", got)
	}

	if nic := got.GetInterfaces()[0]; nic.GetMac() != h.machine.MAC.String() || nic.GetMtu() != 1500 || len(nic.GetAddresses()) == 0 {
		t.Errorf("interface is %v", nic)
	}

	if addresses.GetUuid() != h.machine.UUID.String() || len(addresses.GetAddress()) == 0 {
		t.Fatalf("addresses are %v", addresses)
	}

	// The kernel makes itself an IPv6 address when the LAN's router has advertised by then.
	networks := []string{lab.Subnet, "fd30::/64"}

	for i, address := range addresses.GetAddress() {
		ip, err := netip.ParseAddr(address.GetAddress())
		if err != nil || address.GetType() != "InternalIP" || i >= len(networks) || !netip.MustParsePrefix(networks[i]).Contains(ip) {
			t.Errorf("address %d is %v", i, address)
		}
	}
}

// agents is an appliance reduced to the agent's protocol: it does as one machine's test says and keeps what that says.
type agents struct {
	api.UnimplementedAgentServer

	endpoint  string
	wipe      bool
	refusals  chan struct{}
	created   chan *api.CreateServerRequest
	addressed chan *api.ReconcileServerAddressesRequest
}

// serveAgents listens on a port of the machine's own.
func serveAgents(ctx context.Context, t *testing.T, l *lab.Lab, h hardware) *agents {
	t.Helper()

	listener, err := l.Listen(ctx, "tcp", lab.ApplianceAddress+":0")
	listener = must(t, listener, err)

	a := &agents{
		endpoint: listener.Addr().String(), wipe: h.wipe, refusals: make(chan struct{}, h.refusals),
		created: make(chan *api.CreateServerRequest, 16), addressed: make(chan *api.ReconcileServerAddressesRequest, 16),
	}
	for range h.refusals {
		a.refusals <- struct{}{}
	}

	server := grpc.NewServer()
	api.RegisterAgentServer(server, a)

	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()

	t.Cleanup(func() {
		server.Stop()

		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})

	return a
}

func (a *agents) CreateServer(_ context.Context, request *api.CreateServerRequest) (*api.CreateServerResponse, error) {
	select {
	case <-a.refusals:
		return nil, status.Error(codes.Unavailable, "the appliance is starting")
	default:
	}

	a.created <- request

	return &api.CreateServerResponse{Wipe: a.wipe, InsecureWipe: a.wipe}, nil
}

func (a *agents) ReconcileServerAddresses(_ context.Context, request *api.ReconcileServerAddressesRequest) (*api.ReconcileServerAddressesResponse, error) {
	a.addressed <- request

	return &api.ReconcileServerAddressesResponse{}, nil
}

func await[T any](ctx context.Context, t *testing.T, what string, from <-chan T) T {
	t.Helper()

	var value T
	select {
	case value = <-from:
	case <-ctx.Done():
		t.Fatalf("no %s: %v", what, context.Cause(ctx))
	}

	return value
}

// edge is data at the ends of a disk, where partition tables are.
func edge() []byte { return bytes.Repeat([]byte{0xa5}, mebibyte) }

func writePrecious(t *testing.T, path string, size int64) {
	t.Helper()

	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}

	file, err := os.Create(path)
	file = must(t, file, err)
	_, first := file.WriteAt(edge(), 0)
	_, last := file.WriteAt(edge(), size-mebibyte)

	if err := errors.Join(first, last, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func checkPrecious(t *testing.T, path string, size int64) {
	t.Helper()

	if !fileHolds(t, path, 0, edge()) || !fileHolds(t, path, size-mebibyte, edge()) {
		t.Errorf("data of %s is gone", path)
	}
}
