package systemdisk

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

func TestGRUBConfiguration(t *testing.T) {
	got := grubConfiguration("console=ttyS0  talos.config=http://172.30.0.1/?uuid=${uuid}&a='b'\n")
	want := `echo 'Starting the node from the disk'
linux /vmlinuz 'console=ttyS0' 'talos.config=http://172.30.0.1/?uuid=${uuid}&a='\''b'\'''
initrd /initramfs
boot
`

	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPartitions(t *testing.T) {
	sys := fstest.MapFS{}
	for name, content := range map[string]string{
		"block/sda/size":            "2048\n",
		"block/sda/sda1/partition":  "1\n",
		"block/sda/sda1/uevent":     "DEVNAME=sda1\nPARTNAME=STATE\n",
		"block/vda/size":            "8388608\n",
		"block/vda/vda1/partition":  "1\n",
		"block/vda/vda1/uevent":     "PARTN=1\nPARTNAME=BIOS\n",
		"block/vda/vda2/partition":  "2\n",
		"block/vda/vda2/uevent":     "PARTN=2\nPARTNAME=EFI\n",
		"block/vda/vda3/partition":  "3\n",
		"block/vda/vda3/uevent":     "PARTN=3\nPARTNAME=STATE\n",
		"block/vda/vda4/partition":  "4\n",
		"block/vda/vda4/uevent":     "PARTN=4\nPARTNAME=EPHEMERAL\n",
		"block/vda/queue/something": "\n",
	} {
		sys[name] = &fstest.MapFile{Data: []byte(content)}
	}

	d := Disk{Config{Sys: sys}}

	found, err := d.find()
	if err != nil || found == nil || found.device != "/dev/vda" || found.nodes["EPHEMERAL"] != "/dev/vda4" {
		t.Errorf("found %+v, %v", found, err)
	}

	sys["block/vda/vda4/uevent"].Data = []byte("PARTN=4\n")

	if found, err := d.find(); found != nil || err != nil {
		t.Errorf("without EPHEMERAL found %+v, %v", found, err)
	}
}

func TestChoose(t *testing.T) {
	disks := []disk.Disk{
		{Path: "/dev/sr0", ReadOnly: true, Size: 1 << 30},
		{Path: "/dev/vda", Size: 4 << 30, Serial: "A", ByID: []string{"virtio-A"}},
		{Path: "/dev/nvme0n1", Size: 8 << 30, Serial: "B", Transport: disk.NVMe},
	}
	configuration := func(install string) []byte {
		return []byte("version: v1alpha1\nmachine:\n  type: worker\n" + install)
	}

	for name, test := range map[string]struct{ install, want, err string }{
		"nothing":          {"", "/dev/vda", ""},
		"path":             {"  install:\n    disk: /dev/nvme0n1\n", "/dev/nvme0n1", ""},
		"link":             {"  install:\n    disk: /dev/disk/by-id/virtio-A\n", "/dev/vda", ""},
		"size":             {"  install:\n    diskSelector:\n      size: '>= 6GB'\n", "/dev/nvme0n1", ""},
		"serial, not path": {"  install:\n    disk: /dev/vda\n    diskSelector:\n      serial: B*\n", "/dev/nvme0n1", ""},
		"type":             {"  install:\n    diskSelector:\n      type: nvme\n", "/dev/nvme0n1", ""},
		"missing":          {"  install:\n    disk: /dev/sda\n", "", `disk "/dev/sda"`},
		"read-only":        {"  install:\n    disk: /dev/sr0\n", "", `disk "/dev/sr0"`},
		"no configuration": {"  install: 1\n", "", "choose disk"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choose(disks, configuration(test.install))
			if got.Path != test.want || test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("chose %s, %v; want %s, %q", got.Path, err, test.want, test.err)
			}
		})
	}

	if _, err := choose(disks[:1], configuration("")); err == nil {
		t.Error("chose a disk that cannot be written to")
	}
}
