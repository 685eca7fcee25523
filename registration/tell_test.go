package registration_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

// more is what a machine tells beyond the request.
func more() *api.TellRequest {
	registration := request()
	registration.Hardware.Storage.Devices[0].DeviceName = "/dev/nvme0n1"

	return &api.TellRequest{
		Registration: registration, Architecture: "amd64",
		Adapters: []*api.AdapterFacts{{
			Name: "eno1", Mac: "00:25:90:aa:bb:cc", Driver: "ixgbe", Link: "up", Speed: 1000, MaximumSpeed: 10_000,
			Neighbourhood: &api.Neighbourhood{Neighbours: []*api.NeighbourFacts{{SystemName: "sw-1", PortId: "7"}}},
		}},
		Disks: []*api.DiskFacts{{DeviceName: "/dev/nvme0n1", Transport: "nvme", ById: []string{"nvme-X"}}},
	}
}

// testMoreFacts goes on with the machine as it has registered before.
func testMoreFacts(t *testing.T, b bench) {
	told := func(what string) {
		t.Helper()

		has := b.server(t).Spec.Hardware
		if has.Compute.Architecture != "amd64" || len(has.Compute.Processors) != 1 {
			t.Errorf("%s: compute is %+v", what, has.Compute)
		}

		if n := has.Network.Interfaces[0]; n.Driver != "ixgbe" || n.Speed != 1000 || n.MaximumSpeed != 10_000 || len(n.Neighbours) != 1 {
			t.Errorf("%s: adapter is %+v", what, n)
		}

		if d := has.Storage.Devices[0]; d.Transport != "nvme" || len(d.ByID) != 1 {
			t.Errorf("%s: disk is %+v", what, d)
		}
	}

	for range 2 {
		if _, err := b.service.CreateServer(t.Context(), more().GetRegistration()); err != nil {
			t.Fatal(err)
		}

		if _, err := b.service.Tell(t.Context(), more()); err != nil {
			t.Fatal(err)
		}

		told("told")
	}

	before := b.server(t).ResourceVersion

	for range 2 {
		if _, err := b.service.CreateServer(t.Context(), more().GetRegistration()); err != nil {
			t.Fatal(err)
		}
	}

	told("registered again")

	if after := b.server(t).ResourceVersion; after != before {
		t.Error("a registration that brings nothing new is written")
	}

	// Another adapter in its place is not the one that was told of.
	other := more().GetRegistration()
	other.Hardware.Network.Interfaces[0].Mac = "00:25:90:aa:bb:dd"

	if _, err := b.service.CreateServer(t.Context(), other); err != nil {
		t.Fatal(err)
	}

	if n := b.server(t).Spec.Hardware.Network.Interfaces[0]; n.MAC != "00:25:90:aa:bb:dd" || n.Driver != "" {
		t.Errorf("another adapter is %+v", n)
	}
}

// testMoreOfNobody has a machine tell more that has not registered.
func testMoreOfNobody(t *testing.T, b bench) {
	unknown := more()
	unknown.Registration.Hardware.System.Uuid = "4c4c4544-0042-3510-8051-b4c04f564499"

	if _, err := b.service.Tell(t.Context(), unknown); status.Code(err) != codes.NotFound {
		t.Errorf("got %v", err)
	}

	if _, err := b.service.Tell(t.Context(), &api.TellRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v", err)
	}
}
