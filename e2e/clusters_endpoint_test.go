//go:build e2e

package e2e_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/e2e/bmc"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// endpointAddress is where the cluster's API is reached, whichever of its machines answers.
const endpointAddress = "172.30.0.210"

// openEndpoint balances connections to the cluster's API over the addresses of its control plane's machines: nothing of Sidero or of
// Talos does it, and here no address can go from machine to machine.
func (c *clusters) openEndpoint(ctx context.Context, t *testing.T) {
	t.Helper()

	node, err := bmc.Attach(ctx, c.Lab, endpointAddress)
	node = must(t, node, err)
	listener, err := node.Listen(ctx, "tcp", endpointAddress+":6443")
	listener = must(t, listener, err)
	t.Cleanup(func() { _ = listener.Close() })

	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}

			go c.forward(ctx, node, from)
		}
	}()
}

func (c *clusters) forward(ctx context.Context, node *lab.Node, from net.Conn) {
	defer from.Close()

	machines := &v1alpha3.MetalMachineList{}
	if err := c.api.List(ctx, machines, client.HasLabels{"cluster.x-k8s.io/control-plane"}); err != nil {
		return // who connects tries again
	}

	for _, m := range machines.Items {
		for _, address := range m.Status.Addresses {
			if address.Type == v1alpha3.AddressInternalIP && c.join(ctx, node, from, address.Address) {
				return
			}
		}
	}
}

// join lets both ends talk until one hangs up. It tells whether the other end could be reached.
func (c *clusters) join(ctx context.Context, node *lab.Node, from net.Conn, address string) bool {
	dialing, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()

	to, err := node.Dial(dialing, "tcp", net.JoinHostPort(address, "6443"))
	if err != nil {
		return false
	}
	defer to.Close()

	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()

	_, _ = io.Copy(from, to)

	return true
}
