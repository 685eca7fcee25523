// Package nodes keeps in the API what is known of machines in use by SideroLink: the installation's identity in a Secret, and in
// ServerBindings the machines' ends of the tunnel and what they say of themselves.
package nodes

import (
	"context"
	"fmt"
	"net/netip"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
)

// Indices of ServerBindings.
const (
	byTunnel = "tunnel"
	byKey    = "key"
)

// Index has a cache, which has not started yet, know ServerBindings by the ends of their machines.
func Index(ctx context.Context, objects client.FieldIndexer) error {
	for name, value := range map[string]func(v1alpha3.SideroLink) string{
		byTunnel: func(l v1alpha3.SideroLink) string { return tunnelOf(l).String() },
		byKey:    func(l v1alpha3.SideroLink) string { return l.NodePublicKey },
	} {
		err := objects.IndexField(ctx, &v1alpha3.ServerBinding{}, name, func(o client.Object) []string {
			if binding, ok := o.(*v1alpha3.ServerBinding); ok && binding.Spec.SideroLink != (v1alpha3.SideroLink{}) {
				return []string{value(binding.Spec.SideroLink)}
			}

			return nil
		})
		if err != nil {
			return fmt.Errorf("index server bindings: %w", err)
		}
	}

	return nil
}

// tunnelOf is a machine's address in the tunnel, not valid if it has none.
func tunnelOf(l v1alpha3.SideroLink) netip.Addr {
	prefix, err := netip.ParsePrefix(l.NodeAddress)
	if err != nil {
		return netip.Addr{}
	}

	return prefix.Addr()
}

// bindings are those that an index has under a value. They must not be changed.
func bindings(ctx context.Context, objects client.Reader, index, value string) ([]v1alpha3.ServerBinding, error) {
	list := &v1alpha3.ServerBindingList{}
	if err := objects.List(ctx, list, client.UnsafeDisableDeepCopy, client.MatchingFields{index: value}); err != nil {
		return nil, fmt.Errorf("list server bindings by %s: %w", index, err)
	}

	return list.Items, nil
}
