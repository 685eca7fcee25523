package inventory_test

import (
	"net"
	"slices"
	"testing"

	"github.com/siderolabs/go-smbios/smbios"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/inventory"
)

func TestIdentity(t *testing.T) {
	var interfaces []inventory.Interface
	for i, place := range []string{"0000:00:1f.6", "1-2:1.0", "2-1.4.1:1.0", "", "ff0e0000.ethernet", "virtio0"} {
		one := inventory.Interface{Interface: net.Interface{HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}}}
		one.BusPath, one.Permanent = place, net.HardwareAddr{0, 0x25, 0x90, 0, 0, byte(i)}
		interfaces = append(interfaces, one)
	}

	interfaces = append(interfaces, inventory.Interface{Adapter: inventory.Adapter{BusPath: "0000:01:00.0"}}) // it has no address of its own

	got := inventory.Identity(inventory.Sources{
		Interfaces: interfaces, SMBIOS: &smbios.SMBIOS{SystemInformation: smbios.SystemInformation{SerialNumber: "B5\xffQVD2"}},
	}, interfaces[1].HardwareAddr)

	if got.GetSerialNumber() != "B5QVD2" || got.GetBootMac() != "02:00:00:00:00:01" ||
		!slices.Equal(got.GetMacs(), []string{"00:25:90:00:00:00", "00:25:90:00:00:04", "00:25:90:00:00:05"}) {
		t.Errorf("got %v", got)
	}
}
