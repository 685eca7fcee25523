package machine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

func told() *api.TellRequest {
	registration := request()
	registration.Hardware.Storage.Devices = []*api.StorageDevice{{DeviceName: "/dev/sda", Serial: "A"}, {DeviceName: "/dev/sdb", Serial: "B"}}
	registration.Hardware.Network.Interfaces = []*api.NetworkInterface{{Name: "eno1", Mac: "52:54:00:00:00:01"}, {Name: "eno2", Mac: "52:54:00:00:00:02"}}

	return &api.TellRequest{
		Registration: registration, Architecture: "amd64",
		Adapters: []*api.AdapterFacts{
			{
				Name: "eno2", Mac: "52:54:00:00:00:02", Driver: "igb", Speed: 1000, MaximumSpeed: 10_000, Link: "up", BusPath: "0000:02:00.0",
				Neighbourhood: &api.Neighbourhood{Neighbours: []*api.NeighbourFacts{{SystemName: "sw\x1b1", PortId: "ge-0/0/7", Vlan: 7}}},
			},
			{Name: "eno1", Mac: "another", Driver: "of nothing"},
		},
		Disks: []*api.DiskFacts{{DeviceName: "/dev/sdb", Transport: "usb", Rotational: true, ById: []string{"usb-B"}}, {DeviceName: "/dev/sdz", Transport: "sas"}},
	}
}

func TestParseTold(t *testing.T) {
	m, err := machine.ParseTold(told(), nil)
	if err != nil {
		t.Fatal(err)
	}

	if m.Hardware.Compute.Architecture != "amd64" {
		t.Errorf("compute is %+v", m.Hardware.Compute)
	}

	if diff := cmp.Diff([]*v1alpha2.NetworkInterface{
		{Name: "eno1", MAC: "52:54:00:00:00:01"},
		{
			Name: "eno2", MAC: "52:54:00:00:00:02", Driver: "igb", Speed: 1000, MaximumSpeed: 10_000, Link: "up", BusPath: "0000:02:00.0",
			Neighbours: []*v1alpha2.Neighbour{{SystemName: "sw1", PortID: "ge-0/0/7", VLAN: 7}},
		},
	}, m.Hardware.Network.Interfaces); diff != "" {
		t.Error(diff)
	}

	if diff := cmp.Diff([]*v1alpha2.StorageDevice{
		{Type: "Unknown", DeviceName: "/dev/sda", Serial: "A"},
		{Type: "Unknown", DeviceName: "/dev/sdb", Serial: "B", Transport: "usb", Rotational: true, ByID: []string{"usb-B"}},
	}, m.Hardware.Storage.Devices); diff != "" {
		t.Error(diff)
	}

	for name, bad := range map[string]*api.TellRequest{
		"nothing":            {},
		"too many disks":     {Registration: request(), Disks: make([]*api.DiskFacts, 1025)},
		"too many neighbors": {Registration: request(), Adapters: []*api.AdapterFacts{{Neighbourhood: &api.Neighbourhood{Neighbours: make([]*api.NeighbourFacts, 1025)}}}},
	} {
		if m, err := machine.ParseTold(bad, nil); err == nil {
			t.Errorf("%s: got %+v", name, m)
		}
	}
}

// TestNeighboursThatAreNotKnownYet has a machine tell more when it has just started.
func TestNeighboursThatAreNotKnownYet(t *testing.T) {
	before, err := machine.ParseTold(told(), nil)
	if err != nil {
		t.Fatal(err)
	}

	for name, test := range map[string]struct {
		now  *api.Neighbourhood
		want int
	}{"not known": {nil, 1}, "none": {&api.Neighbourhood{}, 0}} {
		request := told()
		request.Adapters[0].Neighbourhood = test.now

		m, err := machine.ParseTold(request, &before.Hardware)
		if err != nil {
			t.Fatal(err)
		}

		if got := m.Hardware.Network.Interfaces[1].Neighbours; len(got) != test.want {
			t.Errorf("%s: got %+v, want %d", name, got, test.want)
		}
	}
}

// TestKeep has a machine register again by Sidero's protocol.
func TestKeep(t *testing.T) {
	first, err := machine.ParseTold(told(), nil)
	if err != nil {
		t.Fatal(err)
	}

	again := told().GetRegistration()
	again.Hardware.Compute = &api.ComputeInformation{TotalCoreCount: 4}
	again.Hardware.Network.Interfaces[1].Mtu = 9000

	m, err := machine.Parse(again)
	if err != nil {
		t.Fatal(err)
	}

	m.Keep(&first.Hardware)

	want := first.Hardware
	want.Compute.TotalCoreCount = 4
	want.Network.Interfaces[1].MTU = 9000

	if diff := cmp.Diff(want, m.Hardware); diff != "" {
		t.Error(diff)
	}

	// Another disk in the same place is another disk, and another adapter another adapter.
	again.Hardware.Storage.Devices[1].Serial, again.Hardware.Network.Interfaces[1].Mac = "C", "52:54:00:00:00:03"

	if m, err = machine.Parse(again); err != nil {
		t.Fatal(err)
	}

	m.Keep(&first.Hardware)

	if m.Hardware.Storage.Devices[1].Transport != "" || m.Hardware.Network.Interfaces[1].Driver != "" {
		t.Errorf("got %+v, %+v", m.Hardware.Storage.Devices[1], m.Hardware.Network.Interfaces[1])
	}

	m.Keep(nil)
	m.Keep(&v1alpha2.HardwareInformation{Network: &v1alpha2.NetworkInformation{Interfaces: []*v1alpha2.NetworkInterface{nil}}})
}

func FuzzParseTold(f *testing.F) {
	good, err := proto.Marshal(told())
	if err != nil {
		f.Fatal(err)
	}

	f.Add(good)
	f.Add([]byte{})

	f.Fuzz(func(_ *testing.T, data []byte) {
		request := &api.TellRequest{}
		if proto.Unmarshal(data, request) != nil {
			return
		}

		if m, err := machine.ParseTold(request, nil); err == nil {
			m.Keep(&m.Hardware)
		}
	})
}
