package metalmachine

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	metal "github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TestAddresses: the address of the cluster's API is the last that a node is looked for at, and the only one if it is the node's own.
func TestAddresses(t *testing.T) {
	const endpoint = "192.0.2.10"

	for name, c := range map[string]struct {
		node, server []string
		want         []string
	}{
		"of its node":          {[]string{"192.0.2.100", "192.0.2.101"}, []string{"192.0.2.7"}, []string{"192.0.2.100", "192.0.2.101"}},
		"a virtual one":        {[]string{endpoint, "192.0.2.100"}, nil, []string{"192.0.2.100", endpoint}},
		"its own is the API's": {[]string{endpoint}, nil, []string{endpoint}},
		"of its server":        {nil, []string{"192.0.2.7"}, []string{"192.0.2.7"}},
		"nobody knows any":     {nil, nil, nil},
	} {
		binding, server := &v1alpha3.ServerBinding{}, &metal.Server{}
		binding.Spec.Addresses = c.node
		server.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeExternalIP, Address: "198.51.100.7"}} // which is no way to a node

		for _, a := range c.server {
			server.Status.Addresses = append(server.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
		}

		var got []string
		for _, a := range addresses(binding, server, endpoint) {
			got = append(got, a.Address)
		}

		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
