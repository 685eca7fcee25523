package disk

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// tree builds a sysfs. Keys are the directories of devices as the kernel has them, the
// values their attributes, NAME=CONTENT, one a line.
func tree(t *testing.T, devices map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for place, attributes := range devices {
		write(t, filepath.Join(root, place), attributes)
		dir, name := filepath.Split(place)
		parent := filepath.Base(filepath.Dir(dir))
		if filepath.Base(dir) == "block" || strings.HasPrefix(name, "nvme") && strings.Contains(parent, "nvme") || strings.HasSuffix(filepath.Clean(dir), "nvme0") {
			link(t, root, filepath.Join("block", name), place)
			if _, err := os.Stat(filepath.Join(root, place, "device")); err != nil {
				above := strings.TrimSuffix(filepath.Clean(dir), "/block")
				link(t, root, filepath.Join(place, "device"), above)
			}
		}
		if strings.Contains(attributes, "dev=") {
			link(t, root, filepath.Join("class/block", name), place)
		}
	}
	return root
}

func write(t *testing.T, dir, attributes string) {
	t.Helper()
	for line := range strings.Lines(attributes) {
		name, content, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(content, `\x`) {
			content = fmt.Sprint(unquote(t, content))
		} else {
			content += "\n"
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func unquote(t *testing.T, text string) string {
	t.Helper()
	var value string
	if _, err := fmt.Sscanf(`"`+text+`"`, "%q", &value); err != nil {
		t.Fatalf("read %q: %v", text, err)
	}
	return value
}

func link(t *testing.T, root, from, to string) {
	t.Helper()
	path := filepath.Join(root, from)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	target, err := filepath.Rel(filepath.Dir(path), filepath.Join(root, to))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// page makes a vital product data page for an attribute.
func page(code byte, content string) string {
	var text strings.Builder
	for _, b := range append(binary.BigEndian.AppendUint16([]byte{0, code}, uint16(len(content))), content...) {
		fmt.Fprintf(&text, `\x%02x`, b)
	}
	return text.String()
}

const scsi0 = "devices/pci0000:00/0000:00:01.0/virtio0/host0/target0:0:0/0:0:0:0"

// TestList has the trees that QEMU's and some real machines' disks have under Linux
// 6.1, and the names that udev of Debian 12 gives them.
func TestList(t *testing.T) {
	identify := make([]byte, 512)
	for start, text := range map[int]string{20: fmt.Sprintf("%20s", "A1"), 54: "TOSHIBA HDWD120 AND SOME    "} {
		for n := range len(text) {
			identify[start+n^1] = text[n]
		}
	}
	binary.LittleEndian.PutUint16(identify[2*87:], 1<<14|1<<8)
	for n, word := range []uint16{0x5000, 0xC500, 0xDEAD, 0xBEEF} {
		binary.LittleEndian.PutUint16(identify[2*(108+n):], word)
	}
	binary.LittleEndian.PutUint16(identify[2*128:], 1|1<<5)
	for name, test := range map[string]struct {
		place      string
		attributes string
		more       map[string]string
		want       Disk
	}{
		"virtio": {
			"devices/pci0000:00/0000:00:03.0/virtio1/block/vda", "dev=254:0\nsize=2048\nserial=VIRT 1\nqueue/rotational=1\nqueue/logical_block_size=512\nro=1", nil,
			Disk{
				Transport: Virtio, Serial: "VIRT 1", Rotational: true, ReadOnly: true, LogicalBlock: 512, Number: "254:0",
				ByID: []string{"virtio-VIRT_1"}, ByPath: []string{"pci-0000:00:03.0", "virtio-pci-0000:00:03.0"}, BusPath: "/pci0000:00/0000:00:03.0/virtio1",
			},
		},
		"nvme": {
			"devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1", "dev=259:0\nsize=2048\nwwid=eui.0025\nnsid=1\nuuid=00-01\nqueue/discard_max_bytes=4096",
			map[string]string{"devices/pci0000:00/0000:00:04.0/nvme/nvme0": "model=QEMU NVMe Ctrl   \nserial=NVME1\nsubsysnqn=nqn.x"},
			Disk{
				Transport: NVMe, Serial: "NVME1", Model: "QEMU NVMe Ctrl", WWID: "eui.0025", UUID: "00-01", Controller: "nqn.x", Discard: true, Number: "259:0",
				ByID:   []string{"nvme-eui.0025", "nvme-QEMU_NVMe_Ctrl_NVME1", "nvme-QEMU_NVMe_Ctrl_NVME1_1"},
				ByPath: []string{"pci-0000:00:04.0-nvme-1"}, BusPath: "/pci0000:00/0000:00:04.0/nvme",
			},
		},
		"sata": {
			"devices/pci0000:00/0000:00:1f.2/ata3/host1/target1:0:0/1:0:0:0/block/sda", "dev=8:0\nsize=2048\nremovable=1\nqueue/rotational=1",
			map[string]string{
				"devices/pci0000:00/0000:00:1f.2/ata3/host1/target1:0:0/1:0:0:0": "vendor=ATA\nmodel=TOSHIBA 1\nwwid=naa.5000c500deadbeef\nvpd_pg89=" + page(0x89, strings.Repeat("\x00", 56)+string(identify)),
				"devices/pci0000:00/0000:00:1f.2/ata3/ata_port/ata3":             "port_no=2",
			},
			Disk{
				Transport: SATA, Rotational: true, Removable: true, Model: "TOSHIBA 1", Serial: "A1", WWID: "naa.5000c500deadbeef", Number: "8:0",
				ByID:   []string{"ata-TOSHIBA_HDWD120_AND_SOME_A1", "wwn-0x5000c500deadbeef"},
				ByPath: []string{"pci-0000:00:1f.2-ata-2", "pci-0000:00:1f.2-ata-2.0"}, BusPath: "/pci0000:00/0000:00:1f.2/ata3/host1/target1:0:0/1:0:0:0",
				Erase: []Erase{{Method: ATASecurityEnh}, {Method: ATASecurity}},
			},
		},
		"virtio-scsi": {
			scsi0 + "/block/sda", "dev=8:0\nsize=2048",
			map[string]string{scsi0: "vendor=QEMU\nmodel=QEMU HARDDISK\nmodalias=scsi:t-0x00\nvpd_pg80=" + page(0x80, "SCSI1") + "\nvpd_pg83=" + page(0x83, "\x02\x00\x00\x05SCSI1")},
			Disk{
				Transport: Virtio, Model: "QEMU HARDDISK", Serial: "SCSI1", Modalias: "scsi:t-0x00", Number: "8:0",
				ByID:   []string{"scsi-0QEMU_QEMU_HARDDISK_SCSI1", "scsi-SQEMU_QEMU_HARDDISK_SCSI1"},
				ByPath: []string{"pci-0000:00:01.0-scsi-0:0:0:0"}, BusPath: "/pci0000:00/0000:00:01.0/virtio0/host0/target0:0:0/0:0:0:0",
			},
		},
		"sas": {
			"devices/pci0000:00/0000:01:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sda", "dev=8:0\nsize=2048",
			map[string]string{"devices/pci0000:00/0000:01:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0": "vendor=SEAGATE\nmodel=ST1\nvpd_pg83=" +
				page(0x83, "\x61\x93\x00\x08\x50\x00\xc5\x00\x00\x00\x00\x02"+"\x01\x03\x00\x08\x50\x00\xc5\x00\x00\x00\x00\x01")},
			Disk{
				Transport: SAS, Model: "ST1", Number: "8:0", ByID: []string{"wwn-0x5000c50000000001", "scsi-35000c50000000001"},
				BusPath: "/pci0000:00/0000:01:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0",
			},
		},
		"raid volume": {
			"devices/pci0000:00/0000:01:00.0/host3/target3:2:0/3:2:0:0/block/sda", "dev=8:0\nsize=2048",
			map[string]string{
				"devices/pci0000:00/0000:01:00.0/host3/target3:2:0/3:2:0:0": "vendor=LSI\nmodel=MR9271\nvpd_pg83=" + page(0x83, "\x01\x03\x00\x04\x60\x00\x00\x01"),
				"devices/pci0000:00/0000:01:00.0/host2":                     "x=y",
			},
			Disk{
				Model: "MR9271", Number: "8:0", ByID: []string{"wwn-0x60000001", "scsi-360000001"}, ByPath: []string{"pci-0000:01:00.0-scsi-1:2:0:0"},
				BusPath: "/pci0000:00/0000:01:00.0/host3/target3:2:0/3:2:0:0",
			},
		},
		"usb": {
			"devices/pci0000:00/0000:00:02.0/usb2/2-1/2-1.4/2-1.4:1.0/host7/target7:0:0/7:0:0:0/block/sda", "dev=8:0\nsize=2048\nremovable=1",
			map[string]string{
				"devices/pci0000:00/0000:00:02.0/usb2/2-1/2-1.4/2-1.4:1.0/host7/target7:0:0/7:0:0:0": "vendor=SanDisk \nmodel=Ultra Fit",
				"devices/pci0000:00/0000:00:02.0/usb2/2-1/2-1.4":                                     "idVendor=0781\nserial=4C53",
			},
			Disk{
				Transport: USB, Removable: true, Model: "Ultra Fit", Serial: "4C53", Number: "8:0",
				ByID:    []string{"usb-SanDisk_Ultra_Fit_4C53-0:0"},
				ByPath:  []string{"pci-0000:00:02.0-usb-0:1.4:1.0-scsi-0:0:0:0"},
				BusPath: "/pci0000:00/0000:00:02.0/usb2/2-1/2-1.4/2-1.4:1.0/host7/target7:0:0/7:0:0:0",
			},
		},
		"mmc": {
			"devices/platform/fe340000.mmc/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "dev=179:0\nsize=2048",
			map[string]string{"devices/platform/fe340000.mmc/mmc_host/mmc0/mmc0:0001": "name=SD32G\nserial=0x12345678"},
			Disk{
				Transport: MMC, Serial: "0x12345678", Number: "179:0", ByID: []string{"mmc-SD32G_0x12345678"}, ByPath: []string{"platform-fe340000.mmc"},
				BusPath: "/platform/fe340000.mmc/mmc_host/mmc0/mmc0:0001",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			devices := map[string]string{test.place: test.attributes}
			for place, attributes := range test.more {
				devices[place] = attributes
			}
			disks, err := List(os.DirFS(tree(t, devices)), nil)
			if err != nil || len(disks) != 1 {
				t.Fatalf("the disks are %+v (%v)", disks, err)
			}
			test.want.Name = filepath.Base(test.place)
			test.want.Path = "/dev/" + test.want.Name
			test.want.Size = 1 << 20
			if !reflect.DeepEqual(disks[0], test.want) {
				t.Errorf("the disk is\n%#v, want\n%#v", disks[0], test.want)
			}
		})
	}
}

// TestListLeavesOut has what is no disk.
func TestListLeavesOut(t *testing.T) {
	const size = "\nsize=2048"
	root := tree(t, map[string]string{
		"devices/virtual/block/loop0":                                         "dev=7:0" + size,
		"devices/virtual/block/zram0":                                         "dev=252:0" + size,
		"devices/virtual/block/dm-0":                                          "dev=253:0" + size,
		"devices/virtual/block/md0":                                           "dev=9:0" + size,
		"devices/virtual/block/nbd0":                                          "dev=43:0" + size,
		"devices/pci0/ata1/host0/target0:0:0/0:0:0:0/block/sr0":               "dev=11:0" + size,
		"devices/pci0/ata2/host1/target1:0:0/1:0:0:0/block/sda":               "dev=8:0\nsize=0",
		"devices/pci0/ata2/host1/target1:0:0/1:0:0:0/block/sdb":               "dev=8:16\nsize=garbage",
		"devices/pci0/ata2/host1/target1:0:0/1:0:0:0/block/sdc":               "dev=8:32\nsize=18446744073709551615",
		"devices/pci0/0000:00:04.0/nvme/nvme0/nvme0c0n1":                      "dev=259:1\nhidden=1" + size,
		"devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1":                 "dev=259:0" + size,
		"devices/pci0000:00/0000:00:03.0/virtio1/block/vda":                   "dev=254:0" + size,
		"devices/pci0000:00/0000:00:03.0/virtio1/block/vda/vda1":              "dev=254:1\npartition=1\nstart=2048" + size,
		"devices/pci0000:00/0000:00:03.0/virtio1/block/vda/vda2":              "dev=254:2\npartition=2\nstart=4096" + size,
		"devices/pci0000:00/0000:00:03.0/virtio1/block/vda/vda2/holders/dm-0": "x=y",
		"devices/pci0000:00/0000:00:03.0/virtio1/block/vda/vda1/holders/md0":  "x=y",
		"devices/pci0000:00/0000:00:03.0/virtio1/block/vda/holders/md0":       "x=y",
	})
	proc := t.TempDir()
	write(t, proc, "swaps=Filename Type Size Used Priority")
	text := "22 1 254:1 / /boot rw - ext4 /dev/vda1 rw\n23 1 8:99 / /other rw - ext4 x rw\nbroken\n"
	if err := os.MkdirAll(filepath.Join(proc, "self"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"self/mountinfo": text, "swaps": "Filename Type\n/dev/vda2 partition 1 0 -2\n/swapfile file 1 0 -3\n"} {
		if err := os.WriteFile(filepath.Join(proc, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	disks, err := List(os.DirFS(root), os.DirFS(proc))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range disks {
		names = append(names, d.Name)
	}
	if got := strings.Join(names, " "); got != "nvme0n1 sdc vda" {
		t.Fatalf("the disks are %q", got)
	}
	vda := disks[2]
	if !reflect.DeepEqual(vda.Holders, []string{"dm-0", "md0"}) || !reflect.DeepEqual(vda.Mounts, []string{"/boot", "swap"}) {
		t.Errorf("vda is held by %v and mounted on %v", vda.Holders, vda.Mounts)
	}
	if want := []Partition{{"vda1", 1, 1 << 20, 1 << 20}, {"vda2", 2, 2 << 20, 1 << 20}}; !reflect.DeepEqual(vda.Partitions, want) {
		t.Errorf("the partitions are %+v", vda.Partitions)
	}
}

// TestVolumes: an NVMe disk's name ends in a number as a partition's does.
func TestVolumes(t *testing.T) {
	root := tree(t, map[string]string{
		"devices/pci0/0000:00:04.0/nvme/nvme0/nvme0n1":           "dev=259:0",
		"devices/pci0/0000:00:04.0/nvme/nvme0/nvme0n1/nvme0n1p2": "dev=259:2\npartition=2",
		"devices/pci0/virtio1/block/vda":                         "dev=254:0",
		"devices/pci0/virtio1/block/vda/vda1":                    "dev=254:1\npartition=1",
		"devices/virtual/block/md0":                              "dev=9:0\nslaves/vda1=\nslaves/nvme0n1p2=",
		"devices/virtual/block/dm-0":                             "dev=253:0\nslaves/md0=\nslaves/nvme0n1=",
		"devices/virtual/block/dm-1":                             "dev=253:1\nslaves/gone=",
	})
	volumes, err := Volumes(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	want := []Volume{
		{"dm-0", "/dev/dm-0", "253:0", []string{"md0", "nvme0n1"}},
		{"dm-1", "/dev/dm-1", "253:1", []string{"gone"}},
		{"md0", "/dev/md0", "9:0", []string{"nvme0n1", "vda"}},
	}
	if !reflect.DeepEqual(volumes, want) {
		t.Errorf("the volumes are %+v", volumes)
	}
}

func TestRemovableMedium(t *testing.T) {
	for _, test := range []struct {
		disk Disk
		want bool
	}{
		{Disk{Removable: true, Transport: USB}, true},
		{Disk{Removable: true}, true},
		{Disk{Removable: true, Transport: SATA}, false},
		{Disk{Transport: USB}, false},
		{Disk{Transport: MMC}, false},
	} {
		if test.disk.RemovableMedium() != test.want {
			t.Errorf("%+v: %v", test.disk, !test.want)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for size, want := range map[uint64]string{0: "0 B", 999: "999 B", 1000: "1 kB", 500107862016: "500.1 GB", 1<<64 - 1: "18.45 EB"} {
		if got := FormatSize(size); got != want {
			t.Errorf("%d is %q, want %q", size, got, want)
		}
	}
}

func TestEncodeID(t *testing.T) {
	for text, want := range map[string]string{"": "", " a  b ": "a_b", "a/b": "a_b", "x#+-.:=@_y": "x#+-.:=@_y", "ü(1)": "ü_1_"} {
		if got := encodeID(text); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// FuzzPages: no answer of a disk makes reading it fail.
func FuzzPages(f *testing.F) {
	f.Add([]byte("\x00\x83\x00\x09\x02\x00\x00\x05SCSI1"), "22 1 254:1 / /boot")
	f.Add([]byte("\x00\x80\xff\xffX"), "/dev/vda2 partition")
	f.Add([]byte("\x00\x89\x02\x38"), "")
	f.Fuzz(func(_ *testing.T, page []byte, text string) {
		serialOfPage(page)
		designatorsOfPage(page)
		ataOfPage(page)
		parseMounts(text)
		parseSwaps(text)
		encodeID(text)
		isPCI(text)
	})
}
