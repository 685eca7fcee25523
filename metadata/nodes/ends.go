package nodes

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
)

// Ends keeps the machines' ends of the tunnel in their ServerBindings. It implements siderolink.Peers.
type Ends struct {
	// Objects has ServerBindings, by Index.
	Objects client.Reader
	// Client reads and writes them without a cache.
	Client client.Client
}

// Peer implements siderolink.Peers. The UUID is the name of a Server.
func (e Ends) Peer(ctx context.Context, uuid string) (siderolink.Peer, error) {
	binding, err := e.binding(ctx, uuid)
	if err != nil {
		return siderolink.Peer{}, err
	}

	return endOf(binding), nil
}

// Keep implements siderolink.Peers.
func (e Ends) Keep(ctx context.Context, uuid string, was, now siderolink.Peer) error {
	binding, err := e.binding(ctx, uuid)
	if err != nil {
		return err
	}

	if endOf(binding) != was {
		return siderolink.ErrTaken
	}

	link := v1alpha3.SideroLink{NodeAddress: now.Address.String(), NodePublicKey: now.Key.String()}
	if err := e.free(ctx, binding.Name, link); err != nil {
		return err
	}

	before := binding.DeepCopy()
	binding.Spec.SideroLink = link

	err = e.Client.Patch(ctx, binding, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	switch {
	case apierrors.IsConflict(err):
		return siderolink.ErrTaken
	case apierrors.IsNotFound(err):
		return siderolink.ErrNotAllocated
	case err != nil:
		return fmt.Errorf("write ServerBinding %s: %w", binding.Name, err)
	}

	return nil
}

// free tells whether nobody else has an address or a key.
func (e Ends) free(ctx context.Context, name string, link v1alpha3.SideroLink) error {
	for _, one := range []struct {
		index, value string
		taken        error
	}{
		{byTunnel, tunnelOf(link).String(), siderolink.ErrTaken}, {byKey, link.NodePublicKey, siderolink.ErrKeyInUse},
	} {
		others, err := bindings(ctx, e.Objects, one.index, one.value)
		if err != nil {
			return err
		}

		for i := range others {
			if others[i].Name != name {
				return one.taken
			}
		}
	}

	return nil
}

func (e Ends) binding(ctx context.Context, uuid string) (*v1alpha3.ServerBinding, error) {
	name := strings.ToLower(uuid)
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return nil, siderolink.ErrNotAllocated
	}

	binding := &v1alpha3.ServerBinding{}

	err := e.Client.Get(ctx, client.ObjectKey{Name: name}, binding)
	if apierrors.IsNotFound(err) {
		return nil, siderolink.ErrNotAllocated
	}

	if err != nil {
		return nil, fmt.Errorf("read ServerBinding: %w", err)
	}

	return binding, nil
}

// All are the ends of all machines, none of which has another's address or key: the first by name has it.
func (e Ends) All(ctx context.Context) ([]siderolink.Peer, error) {
	list := &v1alpha3.ServerBindingList{}
	if err := e.Objects.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list server bindings: %w", err)
	}

	first := map[any]string{} // by address, and by key

	for i := range list.Items {
		name, end := list.Items[i].Name, endOf(&list.Items[i])
		for _, part := range []any{end.Address.Addr(), end.Key} {
			if other, taken := first[part]; !taken || name < other {
				first[part] = name
			}
		}
	}

	var all []siderolink.Peer

	for i := range list.Items {
		name, end := list.Items[i].Name, endOf(&list.Items[i])
		if end != (siderolink.Peer{}) && first[end.Address.Addr()] == name && first[end.Key] == name {
			all = append(all, end)
		}
	}

	return all, nil
}

// endOf is the end that a binding tells of: nothing if it is not whole.
func endOf(binding *v1alpha3.ServerBinding) siderolink.Peer {
	address, err := netip.ParsePrefix(binding.Spec.SideroLink.NodeAddress)
	if err != nil {
		return siderolink.Peer{}
	}

	key, err := siderolink.ParsePublicKey(binding.Spec.SideroLink.NodePublicKey)
	if err != nil {
		return siderolink.Peer{}
	}

	return siderolink.Peer{Address: address, Key: key}
}
