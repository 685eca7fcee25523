package link

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"

	pb "github.com/siderolabs/siderolink/api/siderolink"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
)

// Talos's own values.
const (
	mtu       = 1280
	keepAlive = 25 // seconds
)

// tunnel is the node's end of WireGuard, within this process.
type tunnel struct {
	device *device.Device
	stack  *netstack.Net
	prefix netip.Prefix // the node's address, with the network's prefix length
}

func (t *tunnel) close() { t.device.Close() }

// join asks for a place in SideroLink, with a new key.
func join(ctx context.Context, api *url.URL, uuid, release string) (*tunnel, error) {
	ctx, cancel := context.WithTimeout(ctx, asksWithin)
	defer cancel()

	key, err := siderolink.NewPrivateKey()
	if err != nil {
		return nil, err //nolint:wrapcheck // its words are complete
	}

	secured := insecure.NewCredentials()
	if api.Scheme == "https" {
		secured = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}

	connection, err := grpc.NewClient("passthrough:///"+api.Host, grpc.WithTransportCredentials(secured), grpc.WithNoProxy())
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", api.Host, err)
	}

	defer connection.Close()

	request := &pb.ProvisionRequest{NodeUuid: uuid, NodePublicKey: key.Public().String(), TalosVersion: &release}
	if token := api.Query().Get("jointoken"); token != "" {
		request.JoinToken = &token
	}

	answer, err := pb.NewProvisionServiceClient(connection).Provision(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a place in SideroLink: %w", api.Host, err)
	}

	return open(key, answer)
}

// open makes the tunnel that was agreed on.
func open(key siderolink.PrivateKey, agreed *pb.ProvisionResponse) (*tunnel, error) {
	prefix, err := netip.ParsePrefix(agreed.GetNodeAddressPrefix())
	if err != nil {
		return nil, fmt.Errorf("read place in SideroLink: %w", err)
	}

	server, err := siderolink.ParsePublicKey(agreed.GetServerPublicKey())
	if err != nil {
		return nil, fmt.Errorf("read place in SideroLink: %w", err)
	}

	if len(agreed.GetServerEndpoint()) == 0 {
		return nil, errors.New("read place in SideroLink: there is no endpoint")
	}

	endpoint, err := net.ResolveUDPAddr("udp", agreed.GetServerEndpoint()[0])
	if err != nil {
		return nil, fmt.Errorf("read place in SideroLink: %w", err)
	}

	inside, stack, err := netstack.CreateNetTUN([]netip.Addr{prefix.Addr()}, nil, mtu)
	if err != nil {
		return nil, fmt.Errorf("make tunnel: %w", err)
	}

	opened := device.NewDevice(inside, conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))

	err = opened.IpcSet(fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\nallowed_ip=%s/128\npersistent_keepalive_interval=%d\n",
		key.Hex(), hex.EncodeToString(server[:]), endpoint, agreed.GetServerAddress(), keepAlive))
	if err == nil {
		err = opened.Up()
	}

	if err != nil {
		opened.Close()

		return nil, fmt.Errorf("make tunnel: %w", err)
	}

	return &tunnel{device: opened, stack: stack, prefix: prefix}, nil
}
