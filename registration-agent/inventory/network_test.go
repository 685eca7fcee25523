package inventory

import (
	"io/fs"
	"net"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/lldp"
)

// netdev makes the part of sysfs that an interface has.
func netdev(name, place, driver, carrier string) fstest.MapFS {
	tree := fstest.MapFS{"class/net/" + name: &fstest.MapFile{Data: []byte("../../" + place), Mode: fs.ModeSymlink}}
	if driver != "" {
		tree[strings.TrimSuffix(place, "/net/"+name)+"/driver"] = &fstest.MapFile{Data: []byte("../../bus/x/drivers/" + driver), Mode: fs.ModeSymlink}
		tree[place+"/device"] = &fstest.MapFile{Data: []byte("../.."), Mode: fs.ModeSymlink}
	}
	if carrier != "" {
		tree[place+"/carrier"] = &fstest.MapFile{Data: []byte(carrier + "\n")}
	}
	return tree
}

func TestAdapter(t *testing.T) {
	const pci = "devices/pci0000:00/0000:00:1c.0/0000:02:00.0"
	for name, test := range map[string]struct {
		place, driver, carrier string
		want                   Adapter
	}{
		"PCI":                {pci + "/net/n", "igb", "1", Adapter{Driver: "igb", BusPath: "0000:02:00.0", Link: "up"}},
		"without a cable":    {pci + "/net/n", "igb", "0", Adapter{Driver: "igb", BusPath: "0000:02:00.0", Link: "down"}},
		"switched off":       {pci + "/net/n", "igb", "", Adapter{Driver: "igb", BusPath: "0000:02:00.0"}},
		"virtio":             {pci + "/virtio0/net/n", "virtio_net", "1", Adapter{Driver: "virtio_net", BusPath: "0000:02:00.0", Link: "up"}},
		"USB":                {pci + "/usb1/1-1/1-1.2/1-1.2:1.0/net/n", "r8152", "1", Adapter{Driver: "r8152", BusPath: "1-1.2:1.0", Link: "up"}},
		"virtio of ARM":      {"devices/platform/a003e00.virtio_mmio/virtio1/net/n", "virtio_net", "1", Adapter{Driver: "virtio_net", BusPath: "virtio1", Link: "up"}},
		"made by the kernel": {"devices/virtual/net/n", "", "1", Adapter{Link: "up"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, adapter(netdev("n", test.place, test.driver, test.carrier), "n")); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := adapter(fstest.MapFS{}, "n"); !cmp.Equal(got, Adapter{}) {
		t.Errorf("an interface that is gone is %+v", got)
	}
}

// TestInterfacesOfThisMachine compares with iproute2.
func TestInterfacesOfThisMachine(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatalf("%v: install the Debian package iproute2", err)
	}
	list, err := Interfaces(lldp.NewListener())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range list {
		said, err := exec.CommandContext(t.Context(), "ip", "-d", "link", "show", "dev", one.Name).Output()
		if err != nil {
			t.Fatal(err)
		}
		permanent := ""
		if _, rest, found := strings.Cut(string(said), "permaddr "); found {
			permanent = strings.Fields(rest)[0]
		}
		// iproute2 shows the permanent address only where it is another one than now.
		if len(one.Permanent) > 0 && permanent == "" {
			permanent = one.HardwareAddr.String()
		}
		if one.Permanent.String() != permanent {
			t.Errorf("%s: permanent address %s, ip says %s", one.Name, one.Permanent, permanent)
		}
		if isUp := strings.Contains(string(said), "LOWER_UP"); one.Flags&net.FlagUp != 0 && (one.Link == "up") != isUp {
			t.Errorf("%s: link %s, ip says %s", one.Name, one.Link, said)
		}
	}
}
