package inventory

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/siderolabs/go-smbios/smbios"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/lldp"
)

// field is a value at an offset of a structure, as DSP0134 counts them.
type field struct {
	offset int
	value  any // uint8, uint16, uint32, []byte
}

// table builds SMBIOS structures.
type table struct{ bytes.Buffer }

func (t *table) add(kind uint8, length int, text []string, fields ...field) *table {
	structure := make([]byte, length)
	structure[0], structure[1] = kind, uint8(length)
	for _, f := range fields {
		var value bytes.Buffer
		_ = binary.Write(&value, binary.LittleEndian, f.value)
		copy(structure[f.offset:], value.Bytes())
	}
	t.Write(structure)
	for _, s := range text {
		t.WriteString(s)
		t.WriteByte(0)
	}
	if len(text) == 0 {
		t.WriteByte(0)
	}
	t.WriteByte(0)
	return t
}

func (t *table) decode(tb testing.TB, major, minor int) *smbios.SMBIOS {
	tb.Helper()
	t.add(127, 4, nil)
	tables, err := smbios.Decode(bytes.NewReader(t.Bytes()), smbios.Version{Major: major, Minor: minor})
	if err != nil {
		tb.Fatal(err)
	}
	return tables
}

func uuidBytes() []byte {
	return []byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
}

func TestSystem(t *testing.T) {
	build := func(uuid []byte) *table {
		return new(table).add(1, 0x1b, []string{"Maker", "Box", "V1", " SN1 ", "SKU1", "To be filled by O.E.M."},
			field{4, uint8(1)}, field{5, uint8(2)}, field{6, uint8(3)}, field{7, uint8(4)}, field{8, uuid},
			field{0x19, uint8(5)}, field{0x1a, uint8(6)})
	}
	for name, test := range map[string]struct {
		major, minor int
		uuid         []byte
		want         string
	}{
		"2.8 is middle-endian":  {2, 8, uuidBytes(), "33221100-5544-7766-8899-aabbccddeeff"},
		"2.6 is middle-endian":  {2, 6, uuidBytes(), "33221100-5544-7766-8899-aabbccddeeff"},
		"3.0 is middle-endian":  {3, 0, uuidBytes(), "33221100-5544-7766-8899-aabbccddeeff"},
		"2.5 is big-endian":     {2, 5, uuidBytes(), "00112233-4455-6677-8899-aabbccddeeff"},
		"zeros are reported":    {2, 8, make([]byte, 16), "00000000-0000-0000-0000-000000000000"},
		"all bits are reported": {2, 8, bytes.Repeat([]byte{0xff}, 16), "ffffffff-ffff-ffff-ffff-ffffffffffff"},
	} {
		t.Run(name, func(t *testing.T) {
			got := System(build(test.uuid).decode(t, test.major, test.minor))
			want := &api.SystemInformation{Uuid: test.want, Manufacturer: "Maker", ProductName: "Box", SerialNumber: "SN1", SkuNumber: "SKU1"}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := System(new(table).decode(t, 2, 8)); got.GetUuid() != "" {
		t.Errorf("without a system structure the UUID is %q", got.GetUuid())
	}
}

func TestCompute(t *testing.T) {
	const populated = uint8(0x41)
	processor := func(t *table, status, cores, threads uint8, cores2, threads2 uint16) {
		t.add(4, 0x30, []string{"Intel", "Xeon", "CPU0"},
			field{7, uint8(1)}, field{0x10, uint8(2)}, field{0x16, uint16(2400)}, field{0x18, status}, field{0x20, uint8(3)},
			field{0x23, cores}, field{0x25, threads}, field{0x2a, cores2}, field{0x2e, threads2})
	}
	tables := new(table)
	processor(tables, populated, 8, 16, 8, 16)
	processor(tables, 0, 99, 99, 99, 99) // an empty socket
	processor(tables, populated, 0xff, 0xff, 288, 576)
	processor(tables, populated, 0xff, 0xff, 0, 0) // SMBIOS 2.x: 255 is a number
	got := Compute(tables.decode(t, 3, 0))
	want := &api.ComputeInformation{ProcessorCount: 3, TotalCoreCount: 8 + 288 + 255, TotalThreadCount: 16 + 576 + 255}
	for _, count := range [][2]uint32{{8, 16}, {288, 576}, {255, 255}} {
		want.Processors = append(want.Processors, &api.Processor{
			Manufacturer: "Intel", ProductName: "Xeon", SerialNumber: "CPU0", Speed: 2400, CoreCount: count[0], ThreadCount: count[1],
		})
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	// A structure of SMBIOS 2.3 ends before the counts.
	old := Compute(new(table).add(4, 0x23, nil, field{0x18, populated}).decode(t, 2, 3))
	if old.GetProcessorCount() != 1 || old.GetTotalCoreCount() != 0 {
		t.Errorf("got %v", old)
	}
}

func TestMemory(t *testing.T) {
	for name, test := range map[string]struct {
		size     uint16
		extended uint32
		length   int
		modules  int
		total    uint32
	}{
		"16 GB":                          {16384, 0, 0x22, 1, 16384},
		"empty slot":                     {0, 0, 0x22, 0, 0},
		"unknown":                        {0xffff, 0, 0x22, 0, 0},
		"in kilobytes":                   {0x8000 | 4096, 0, 0x22, 1, 4},
		"32 GB, extended":                {0x7fff, 32768, 0x22, 1, 32768},
		"64 GB, more than 16 bits":       {0x7fff, 65536, 0x22, 1, 65536},
		"128 GB":                         {0x7fff, 131072, 0x22, 1, 131072},
		"extended, but the field is cut": {0x7fff, 65536, 0x1b, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			fields := []field{{0xc, test.size}, {0x12, uint8(0x1a)}, {0x15, uint16(3200)}, {0x17, uint8(1)}, {0x18, uint8(2)}, {0x1a, uint8(3)}}
			if test.length > 0x1c {
				fields = append(fields, field{0x1c, test.extended})
			}
			got := Memory(new(table).add(17, test.length, []string{"Samsung", "S123", "M393"}, fields...).decode(t, 3, 0))
			if got.GetTotalSize() != test.total || int(got.GetModuleCount()) != test.modules || len(got.GetModules()) != test.modules {
				t.Fatalf("got %v", got)
			}
			for _, module := range got.GetModules() {
				want := &api.MemoryModule{Manufacturer: "Samsung", SerialNumber: "S123", ProductName: "M393", Type: "DDR4", Size: test.total, Speed: 3200}
				if diff := cmp.Diff(want, module, protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestDamagedTables(t *testing.T) {
	// A system information of SMBIOS 2.0 has eight bytes and no UUID.
	old := new(table).add(1, 8, nil)
	_, err := guarded(func() (*smbios.SMBIOS, error) { return smbios.Decode(&old.Buffer, smbios.Version{Major: 2}) })
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("error %v", err)
	}
}

func FuzzTables(f *testing.F) {
	f.Add(new(table).add(1, 0x1b, []string{"a"}).add(4, 0x30, nil).add(17, 0x22, nil).add(127, 4, nil).Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		tables, err := guarded(func() (*smbios.SMBIOS, error) { return smbios.Decode(bytes.NewReader(data), smbios.Version{Major: 3}) })
		if err != nil {
			return
		}
		System(tables)
		if compute := Compute(tables); int(compute.GetProcessorCount()) != len(compute.GetProcessors()) {
			t.Errorf("counted %d of %d processors", compute.GetProcessorCount(), len(compute.GetProcessors()))
		}
		if memory := Memory(tables); int(memory.GetModuleCount()) != len(memory.GetModules()) {
			t.Errorf("counted %d of %d modules", memory.GetModuleCount(), len(memory.GetModules()))
		}
	})
}

// sysfs makes a tree out of path and content pairs below /sys/block.
func sysfs(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, content := range files {
		tree["block/"+name] = &fstest.MapFile{Data: []byte(content)}
	}
	return tree
}

func TestStorage(t *testing.T) {
	tree := sysfs(map[string]string{
		"nvme0n1/size": "4194304\n", "nvme0n1/queue/rotational": "0\n", "nvme0n1/device/model": "Samsung SSD 980                         \n",
		"nvme0n1/device/serial": "S1\n", "nvme0n1/wwid": "eui.0025\n", "nvme0n1/uuid": "12345678-0000\n",
		// One path of a multipath namespace.
		"nvme1c0n1/size": "4194304\n", "nvme1c0n1/hidden": "1\n",
		"sda/size": "6291456\n", "sda/queue/rotational": "1\n", "sda/device/model": "QEMU HARDDISK   \n",
		"sda/device/wwid": "t10.ATA     QEMU HARDDISK                           ATA1\n", "sda/device/vpd_pg80": "\x00\x80\x00\x04ATA1",
		"vda/size": "2048\n", "vda/queue/rotational": "1\n", "vda/serial": "VIRT1\n",
		"mmcblk0/size": "100\n", "mmcblk0/queue/rotational": "0\n", "mmcblk0/device/name": "SD64G\n", "mmcblk0/device/serial": "0xabc\n",
		"sdb/size": "0\n", // a card reader without a card
		"sr0/size": "100\n", "sg0/size": "100\n", "loop0/size": "100\n", "md0/size": "100\n", "dm-0/size": "100\n", "ram0/size": "100\n",
		"sdc/size": "nonsense\n",
	})
	// A disk in a USB enclosure, which has the serial number that udev and wipes know it by.
	const place = "devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host4/target4:0:0/4:0:0:0/block/sdd"
	tree["block/sdd"] = &fstest.MapFile{Data: []byte("../" + place), Mode: fs.ModeSymlink}
	tree[place+"/size"] = &fstest.MapFile{Data: []byte("8\n")}
	tree["devices/pci0000:00/0000:00:14.0/usb2/2-1/idVendor"] = &fstest.MapFile{Data: []byte("152d\n")}
	tree["devices/pci0000:00/0000:00:14.0/usb2/2-1/serial"] = &fstest.MapFile{Data: []byte("USB1\n")}
	disks, err := disk.List(tree, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := Storage(tree, disks)
	want := &api.StorageInformation{TotalSize: (4194304 + 6291456 + 2048 + 100 + 8) * 512, DeviceCount: 5, Devices: []*api.StorageDevice{
		{Type: api.StorageType_SD, Size: 100 * 512, Serial: "0xabc", Name: "SD64G", DeviceName: "/dev/mmcblk0"},
		{Type: api.StorageType_NVMe, Size: 2 << 30, Model: "Samsung SSD 980", Serial: "S1", DeviceName: "/dev/nvme0n1", Uuid: "12345678-0000", Wwid: "eui.0025"},
		{Type: api.StorageType_HDD, Size: 3 << 30, Model: "QEMU HARDDISK", Serial: "ATA1", DeviceName: "/dev/sda", Wwid: "t10.ATA     QEMU HARDDISK                           ATA1"},
		{Type: api.StorageType_SSD, Size: 8 * 512, Serial: "USB1", DeviceName: "/dev/sdd"},
		{Type: api.StorageType_HDD, Size: 1 << 20, Serial: "VIRT1", DeviceName: "/dev/vda"},
	}}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestMore(t *testing.T) {
	got := More(Sources{
		Interfaces: []Interface{
			{Interface: net.Interface{Name: "lo"}},
			{
				Interface: net.Interface{Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}},
				Adapter:   Adapter{Permanent: net.HardwareAddr{2, 0, 0, 0, 0, 2}, Driver: "igb", BusPath: "0000:02:00.0", Link: "up", Speed: 1000, MaximumSpeed: 2500},
			},
			{
				Interface: net.Interface{Name: "eth1", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 3}},
				Adapter:   Adapter{NeighboursKnown: true, Neighbours: []lldp.Announcement{{ChassisID: "c", PortID: "p", SystemName: "sw", PortDescription: "d", VLAN: 7}}},
			},
			{Interface: net.Interface{Name: "eth2", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 4}}, Adapter: Adapter{NeighboursKnown: true}},
		},
		Disks: []disk.Disk{{Path: "/dev/sdd", Transport: disk.USB, Removable: true, Rotational: true, BusPath: "/b", ByID: []string{"usb-X"}}},
	})
	want := &api.TellRequest{
		Architecture: runtime.GOARCH,
		Adapters: []*api.AdapterFacts{
			{
				Name: "eth0", Mac: "02:00:00:00:00:01", PermanentMac: "02:00:00:00:00:02", Driver: "igb", BusPath: "0000:02:00.0", Link: "up",
				Speed: 1000, MaximumSpeed: 2500,
			},
			{Name: "eth1", Mac: "02:00:00:00:00:03", Neighbourhood: &api.Neighbourhood{Neighbours: []*api.NeighbourFacts{
				{ChassisId: "c", PortId: "p", SystemName: "sw", PortDescription: "d", Vlan: 7},
			}}},
			{Name: "eth2", Mac: "02:00:00:00:00:04", Neighbourhood: &api.Neighbourhood{}},
		},
		Disks: []*api.DiskFacts{{DeviceName: "/dev/sdd", Transport: "usb", Removable: true, Rotational: true, BusPath: "/b", ById: []string{"usb-X"}}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestNetworkAndAddresses(t *testing.T) {
	interfaces := []Interface{
		{Interface: net.Interface{Index: 1, Name: "lo", Flags: net.FlagUp | net.FlagLoopback}, Addresses: []string{"127.0.0.1/8", "::1/128"}},
		{Interface: net.Interface{Index: 2, Name: "eth0", MTU: 1500, Flags: net.FlagUp | net.FlagBroadcast, HardwareAddr: net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}},
			Addresses: []string{"172.30.0.50/24", "169.254.1.1/16", "fe80::1/64", "fd30::1/64", "224.0.0.1/4", "broken"}},
		{Interface: net.Interface{Index: 3, Name: "eth1", MTU: 1500, HardwareAddr: net.HardwareAddr{0x52, 0x54, 0, 0, 0, 2}}},
	}
	want := &api.NetworkInformation{InterfaceCount: 2, Interfaces: []*api.NetworkInterface{
		{Index: 2, Name: "eth0", Flags: "up|broadcast", Mtu: 1500, Mac: "52:54:00:00:00:01", Addresses: interfaces[1].Addresses},
		{Index: 3, Name: "eth1", Flags: "0", Mtu: 1500, Mac: "52:54:00:00:00:02"},
	}}
	if diff := cmp.Diff(want, Network(interfaces), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	addresses := []*api.Address{{Type: "InternalIP", Address: "172.30.0.50"}, {Type: "InternalIP", Address: "fd30::1"}}
	if diff := cmp.Diff(addresses, Addresses(interfaces), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}
