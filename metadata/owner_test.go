package metadata_test

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/metadata"
)

// indexer has a client under construction know objects by an index.
type indexer struct{ builder *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, value client.IndexerFunc) error {
	i.builder.WithIndex(o, field, value)

	return nil
}

// TestOwner finds servers by what their machines have told, in whichever notation, and none for a MAC that two have.
func TestOwner(t *testing.T) {
	server := func(name string, edit func(*metal.Server)) *metal.Server {
		s := &metal.Server{ObjectMeta: metav1.ObjectMeta{Name: name}}
		edit(s)

		return s
	}
	nic := func(mac, permanent string) *metal.HardwareInformation {
		return &metal.HardwareInformation{Network: &metal.NetworkInformation{
			Interfaces: []*metal.NetworkInterface{nil, {MAC: mac, PermanentMAC: permanent}},
		}}
	}
	objects := []client.Object{
		server("boots", func(s *metal.Server) { s.Status.Identity = &metal.MachineIdentity{BootMAC: "02-00-00-00-00-01"} }),
		server("told", func(s *metal.Server) {
			s.Status.Identity = &metal.MachineIdentity{MACs: []string{"02:00:00:00:00:0A"}, OtherMACs: []string{"02:00:00:00:00:03"}}
		}),
		server("hardware", func(s *metal.Server) { s.Spec.Hardware = nic("02:00:00:00:00:04", "02:00:00:00:00:05") }),
		server("shares", func(s *metal.Server) { s.Spec.Hardware = nic("02:00:00:00:00:03", "") }),
		server("empty", func(s *metal.Server) { s.Spec.Hardware = nic("none", "") }),
	}

	scheme := runtime.NewScheme()
	if err := metal.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...)
	if err := metadata.Index(t.Context(), indexer{builder}); err != nil {
		t.Fatal(err)
	}

	known := builder.Build()

	for mac, want := range map[string]string{
		"02:00:00:00:00:01": "boots", "02:00:00:00:00:0a": "told", "02:00:00:00:00:04": "hardware", "02:00:00:00:00:05": "hardware",
		"02:00:00:00:00:03": "", "02:00:00:00:00:99": "", "none": "", "": "",
	} {
		if got := metadata.Owner(t.Context(), known, mac); got != want {
			t.Errorf("%q is of %q, want %q", mac, got, want)
		}
	}
}
