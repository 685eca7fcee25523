package wipe

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk"
)

func TestStopOrder(t *testing.T) {
	volume := func(name string, on ...string) disk.Volume { return disk.Volume{Name: name, On: on} }
	for name, test := range map[string]struct {
		volumes []disk.Volume
		disks   string
		want    string
	}{
		"nothing":              {nil, "sda", ""},
		"an array":             {[]disk.Volume{volume("md0", "sda", "sdb")}, "sda", "md0"},
		"of another disk":      {[]disk.Volume{volume("md0", "sdc", "sdb")}, "sda", ""},
		"LVM on an array":      {[]disk.Volume{volume("dm-0", "md0"), volume("md0", "sda", "sdb")}, "sda sdb", "dm-0 md0"},
		"LUKS on LVM on array": {[]disk.Volume{volume("md0", "sda"), volume("dm-0", "md0"), volume("dm-1", "dm-0")}, "sda", "dm-1 dm-0 md0"},
		// A mirror in LVM is made of the volumes of its legs.
		"a diamond": {[]disk.Volume{volume("dm-2", "dm-0", "dm-1"), volume("dm-0", "sda"), volume("dm-1", "sdb")}, "sda", "dm-2 dm-0"},
		// LVM over two disks of which one stays: it must go, or the other is in use.
		"a span": {[]disk.Volume{volume("dm-0", "sda", "sdb"), volume("dm-1", "sdb")}, "sda", "dm-0"},
		"no end": {[]disk.Volume{volume("dm-0", "sda", "dm-1"), volume("dm-1", "dm-0")}, "sda", "dm-0 dm-1"},
	} {
		var got []string
		for _, volume := range stopOrder(test.volumes, strings.Fields(test.disks)) {
			got = append(got, volume.Name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, want %q", name, got, test.want)
		}
	}
}

// TestMapping holds the layout against linux uapi dm-ioctl.h.
func TestMapping(t *testing.T) {
	var m mapping
	for name, test := range map[string][2]uintptr{
		"size": {unsafe.Sizeof(m), removeRequest >> 16 & 0x3FFF}, "device": {unsafe.Offsetof(m.device), 40},
		"name": {unsafe.Offsetof(m.name), 48}, "uuid": {unsafe.Offsetof(m.uuid), 176}, "data": {unsafe.Offsetof(m.data), 305},
	} {
		if test[0] != test[1] {
			t.Errorf("%s is %d, want %d", name, test[0], test[1])
		}
	}
	request, err := newRemoval("253:257")
	// The kernel's huge_encode_dev: the minor's low byte, the major, the minor's rest.
	if err != nil || request.device != 0x1<<20|253<<8|0x01 || request.version[0] != 4 {
		t.Errorf("the request is %+v (%v)", request, err)
	}
	for _, number := range []string{"", "253", "a:b", "253:-1", ":", "99999:1"} {
		if _, err := newRemoval(number); err == nil {
			t.Errorf("%q is taken", number)
		}
	}
}
