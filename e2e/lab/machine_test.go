package lab

import (
	"regexp"
	"strings"
	"testing"
)

func TestMachinesAreKnownByTheirName(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "b", "bios", "uefi"} {
		machine := Machine{Name: name}.WithDefaults()
		for _, identity := range []string{machine.UUID.String(), machine.MAC.String(), machine.SMBIOS.Serial} {
			if other, taken := seen[identity]; taken {
				t.Errorf("%s and %s share %s", name, other, identity)
			}
			seen[identity] = name
		}
		again := Machine{Name: name}.WithDefaults()
		if again.UUID != machine.UUID || again.MAC.String() != machine.MAC.String() {
			t.Errorf("%s is another machine the second time", name)
		}
		if !regexp.MustCompile(`^52:54:00(:[0-9a-f]{2}){3}$`).MatchString(machine.MAC.String()) {
			t.Errorf("MAC of %s: %s, want one of QEMU's", name, machine.MAC)
		}
	}
}

func TestDefaultsLeaveWhatIsGiven(t *testing.T) {
	given := Machine{Name: "m", NIC: "e1000e", Memory: 512, CPUs: 2, Firmware: UEFI, Boot: FromDisk, SMBIOS: SMBIOS{Serial: "S1"},
		Disks: []Disk{{Size: 1, Bus: NVMe}, {Size: 2, Serial: "D"}}}
	machine := given.WithDefaults()
	if machine.NIC != "e1000e" || machine.Memory != 512 || machine.CPUs != 2 || machine.Firmware != UEFI || machine.Boot != FromDisk || machine.SMBIOS.Serial != "S1" {
		t.Errorf("changed: %+v", machine)
	}
	want := []Disk{{Size: 1, Bus: NVMe, Serial: "m-0"}, {Size: 2, Bus: Virtio, Serial: "D"}}
	for i := range want {
		if machine.Disks[i] != want[i] {
			t.Errorf("disk %d: %+v, want %+v", i, machine.Disks[i], want[i])
		}
	}
	if given.Disks[0].Serial != "" {
		t.Error("the caller's disks were changed")
	}
}

func TestInvalidMachines(t *testing.T) {
	for name, test := range map[string]struct {
		machine Machine
		want    string
	}{
		"no name":          {Machine{}, "machine name"},
		"path as name":     {Machine{Name: "../x"}, "machine name"},
		"name of the LAN":  {Machine{Name: "lan"}, "machine name"},
		"unknown firmware": {Machine{Name: "m", Firmware: "coreboot"}, `unknown firmware "coreboot"`},
		"unknown boot":     {Machine{Name: "m", Boot: "floppy"}, `unknown boot order "floppy"`},
		"unknown bus":      {Machine{Name: "m", Disks: []Disk{{Size: 1, Bus: "mfm"}}}, `disk 0: unknown bus "mfm"`},
		"empty disk":       {Machine{Name: "m", Disks: []Disk{{}}}, "disk 0: size 0"},
		"too many disks":   {Machine{Name: "m", Disks: sataDisks(7)}, "disk 6: only 6"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.machine.WithDefaults().validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestPresetsCoverEachFirmware(t *testing.T) {
	seen := map[Firmware]bool{}
	for _, machine := range Presets() {
		seen[machine.Firmware] = true
		if err := machine.WithDefaults().validate(); err != nil {
			t.Error(err)
		}
	}
	for _, firmware := range []Firmware{BIOS, UEFI, UEFIHTTP} {
		if !seen[firmware] {
			t.Errorf("no preset with %s", firmware)
		}
	}
}

func sataDisks(n int) []Disk {
	disks := make([]Disk, n)
	for i := range disks {
		disks[i] = Disk{Size: 1, Bus: SATA}
	}
	return disks
}
