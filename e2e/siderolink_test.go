//go:build e2e

package e2e_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	sink "github.com/siderolabs/siderolink/api/events"
	link "github.com/siderolabs/siderolink/api/siderolink"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
)

const linked = "1c0f2f3e-0000-4000-8000-00000000511d"

// TestSideroLink is a machine in use that joins the tunnel as Talos does, tells what it does, and logs; over a kill of the appliance,
// which it does not notice.
func TestSideroLink(t *testing.T) {
	ctx, i := start(t, 4*time.Minute, "--negative-address-filter", "10.244.0.0/16")
	c := admin(t, i)

	calls, err := i.Machines()
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = calls.Close() })

	provision := link.NewProvisionServiceClient(calls)
	key := newLinkKey(t)
	request := &link.ProvisionRequest{NodeUuid: linked, NodePublicKey: key.Public().String()}

	if _, err := provision.Provision(ctx, request); status.Code(err) != codes.NotFound {
		t.Errorf("a machine that is not in use: %v", err)
	}

	bindLinked(ctx, t, c)

	answer, err := provision.Provision(ctx, request)
	if err != nil {
		t.Fatal(err)
	}

	node := joined(ctx, t, i, key, answer)
	node.publish(ctx, t, &machine.AddressEvent{Hostname: "node-7", Addresses: []string{node.address.String(), "10.244.0.9", "172.30.0.77"}})
	node.publish(ctx, t, &machine.PhaseEvent{Phase: "install", Action: machine.PhaseEvent_START})
	testReported(ctx, t, c, v1alpha3.ConditionTalosInstalled, corev1.ConditionFalse)

	i.Process.Kill()

	if err := i.Launch(); err != nil {
		t.Fatal(err)
	}

	if err := i.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}

	c = admin(t, i)
	node.publish(ctx, t, &machine.SequenceEvent{Sequence: "boot", Action: machine.SequenceEvent_START})
	testReported(ctx, t, c, v1alpha3.ConditionTalosInstalled, corev1.ConditionTrue)
	testInstalled(ctx, t, c)
	testLogs(ctx, t, i, node)

	again, err := provision.Provision(ctx, &link.ProvisionRequest{NodeUuid: linked, NodePublicKey: newLinkKey(t).Public().String()})
	if err != nil || again.GetNodeAddressPrefix() != answer.GetNodeAddressPrefix() {
		t.Errorf("after a start it has the address %s instead of %s: %v", again.GetNodeAddressPrefix(), answer.GetNodeAddressPrefix(), err)
	}
}

func newLinkKey(t *testing.T) siderolink.PrivateKey {
	t.Helper()

	key, err := siderolink.NewPrivateKey()

	return must(t, key, err)
}

func bindLinked(ctx context.Context, t *testing.T, c client.Client) {
	t.Helper()

	s := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: linked}, Spec: v1alpha2.ServerSpec{Accepted: true}}
	b := &v1alpha3.ServerBinding{ObjectMeta: metav1.ObjectMeta{Name: linked, Labels: map[string]string{"cluster.x-k8s.io/cluster-name": "lab"}}}
	b.Spec.MetalMachineRef = corev1.ObjectReference{Kind: "MetalMachine", Namespace: "default", Name: "lab-cp-x"}

	for _, o := range []client.Object{s, b} {
		if err := c.Create(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
}

// linkedNode is a machine's end of the tunnel.
type linkedNode struct {
	address, server netip.Addr
	stack           *netstack.Net
	events          sink.EventSinkServiceClient
}

func joined(ctx context.Context, t *testing.T, i *installation.Installation, key siderolink.PrivateKey, answer *link.ProvisionResponse) *linkedNode {
	t.Helper()

	const mtu = 1280

	own, server := netip.MustParsePrefix(answer.GetNodeAddressPrefix()), netip.MustParseAddr(answer.GetServerAddress())

	public, err := siderolink.ParsePublicKey(answer.GetServerPublicKey())
	if err != nil {
		t.Fatal(err)
	}

	if want := lab.ApplianceAddress + ":51821"; !slices.Equal(answer.GetServerEndpoint(), []string{want}) {
		t.Errorf("the tunnel is at %v instead of %s", answer.GetServerEndpoint(), want)
	}

	tun, stack, err := netstack.CreateNetTUN([]netip.Addr{own.Addr()}, nil, mtu)
	if err != nil {
		t.Fatal(err)
	}

	d := device.NewDevice(tun, inside{conn.NewDefaultBind(), i.Lab.Inside}, device.NewLogger(device.LogLevelSilent, ""))
	t.Cleanup(d.Close)

	if err := d.IpcSet(fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\nallowed_ip=::/0\npersistent_keepalive_interval=25\n",
		key.Hex(), hex.EncodeToString(public[:]), answer.GetServerEndpoint()[0])); err != nil {
		t.Fatal(err)
	}

	if err := d.Up(); err != nil {
		t.Fatal(err)
	}

	n := &linkedNode{address: own.Addr(), server: server, stack: stack}

	calls, err := grpc.NewClient("passthrough:///sink", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return stack.DialContextTCPAddrPort(ctx, netip.AddrPortFrom(server, 4002))
		}))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = calls.Close() })

	n.events = sink.NewEventSinkServiceClient(calls)

	return n
}

// inside opens its sockets in a node's network, whoever has the device go up: it does so by itself, in a goroutine of its own.
type inside struct {
	conn.Bind

	in func(func() error) error
}

// Open implements conn.Bind.
func (b inside) Open(port uint16) (receive []conn.ReceiveFunc, actual uint16, err error) {
	err = b.in(func() error {
		receive, actual, err = b.Bind.Open(port)

		return err //nolint:wrapcheck // the device's own
	})

	return receive, actual, err
}

// publish sends an event until it is taken, as Talos does.
func (n *linkedNode) publish(ctx context.Context, t *testing.T, event proto.Message) {
	t.Helper()

	data, err := anypb.New(event)
	if err != nil {
		t.Fatal(err)
	}

	eventually(ctx, t, func() error {
		ctx, done := context.WithTimeout(ctx, 5*time.Second)
		defer done()

		_, err := n.events.Publish(ctx, &sink.EventRequest{Id: "1", Data: data})

		return err
	})
}

func testReported(ctx context.Context, t *testing.T, c client.Client, kind v1alpha2.ConditionType, want corev1.ConditionStatus) {
	t.Helper()

	eventually(ctx, t, func() error {
		b := &v1alpha3.ServerBinding{}
		if err := c.Get(ctx, client.ObjectKey{Name: linked}, b); err != nil {
			return err
		}

		if !slices.Equal(b.Spec.Addresses, []string{"172.30.0.77"}) || b.Spec.Hostname != "node-7" || !b.Status.Conditions.Is(kind, want) {
			return fmt.Errorf("the binding has %v, %q, %+v", b.Spec.Addresses, b.Spec.Hostname, b.Status.Conditions)
		}

		return nil
	})
}

// testInstalled tells that the window is over, and that the machine is to boot from its disk.
func testInstalled(ctx context.Context, t *testing.T, c client.Client) {
	t.Helper()

	eventually(ctx, t, func() error {
		b := &v1alpha3.ServerBinding{}
		if err := c.Get(ctx, client.ObjectKey{Name: linked}, b); err != nil {
			return err
		}

		s := server(ctx, t, c, linked)
		if b.Status.ConfigurationLoadedAt == nil || !s.Status.Conditions.Is(v1alpha2.ConditionPXEBooted, corev1.ConditionTrue) || len(s.Status.Boots) == 0 {
			return fmt.Errorf("loaded at %v; the server has %+v and boots %+v", b.Status.ConfigurationLoadedAt, s.Status.Conditions, s.Status.Boots)
		}

		return nil
	})
}

func testLogs(ctx context.Context, t *testing.T, i *installation.Installation, n *linkedNode) {
	t.Helper()

	if said, err := i.Tool(ctx, "", "sidero-appliance", "logs", linked); err == nil || !strings.Contains(err.Error()+said, "has logged nothing") || strings.Contains(err.Error(), "no appliance") {
		t.Errorf("before it has logged anything: %s, %v", said, err)
	}

	log, err := n.stack.DialContextTCPAddrPort(ctx, netip.AddrPortFrom(n.server, 4001))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()

	say := func(text string) {
		if _, err := fmt.Fprintf(log, `{"msg":%q,"facility":"kern","priority":"info","talos-time":"2026-11-27T12:00:00Z"}`+"\n", text); err != nil {
			t.Fatal(err)
		}
	}
	say("a kernel says hello")

	eventually(ctx, t, func() error {
		said, err := i.Tool(ctx, "", "sidero-appliance", "logs", linked)
		if err == nil && said != "2026-11-27T12:00:00Z kern info: a kernel says hello\n" {
			err = fmt.Errorf("it printed %q", said)
		}

		return err
	})

	follower, printed, err := i.Beside("sidero-appliance", "logs", linked, "--follow", "--json")
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Kill()

	if _, err := printed.Wait(ctx, "hello"); err != nil {
		t.Fatal(err)
	}

	say("and goodbye")

	line, err := printed.Wait(ctx, "goodbye")
	if err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{`"server_uuid":"` + linked + `"`, `"cluster":"lab"`, `"metal_machine":"lab-cp-x"`} {
		if !strings.Contains(line.Text, want) {
			t.Errorf("%s does not tell %s", line.Text, want)
		}
	}
}
