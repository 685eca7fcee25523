package tunnel_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/netstack"

	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink/tunnel"
)

func newKey(t *testing.T) siderolink.PrivateKey {
	t.Helper()
	key, err := siderolink.NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	c, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return netip.MustParseAddrPort(c.LocalAddr().String()).Port()
}

// node is a machine's end, as Talos makes it: it speaks first.
func node(t *testing.T, address netip.Addr, key siderolink.PrivateKey, server siderolink.PublicKey, port uint16) *netstack.Net {
	t.Helper()
	tun, stack, err := netstack.CreateNetTUN([]netip.Addr{address}, nil, tunnel.MTU)
	if err != nil {
		t.Fatal(err)
	}
	d := device.NewDevice(tun, conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
	t.Cleanup(d.Close)
	if err := d.IpcSet(fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=127.0.0.1:%d\nallowed_ip=::/0\npersistent_keepalive_interval=25\n",
		key.Hex(), hex.EncodeToString(server[:]), port)); err != nil {
		t.Fatal(err)
	}
	if err := d.Up(); err != nil {
		t.Fatal(err)
	}
	return stack
}

// Machines reach the appliance inside the tunnel from their addresses, also with a key of another boot and after the appliance
// was started again; one that is gone does not.
func TestTunnel(t *testing.T) {
	network, key, port := siderolink.Network("test"), newKey(t), freePort(t)
	server := siderolink.ServerAddress(network)
	first := siderolink.Peer{Address: siderolink.NewNodeAddress(network)}
	open := func() (*tunnel.Tunnel, net.Listener) {
		tun, stack, err := netstack.CreateNetTUN([]netip.Addr{server}, nil, tunnel.MTU)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := tunnel.Open(tunnel.Config{Interface: tun, Key: key, Port: port, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		listener, err := stack.ListenTCPAddrPort(netip.AddrPortFrom(server, 4001))
		if err != nil {
			t.Fatal(err)
		}
		return opened, listener
	}
	reaches := func(listener net.Listener, stack *netstack.Net, wait time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		c, err := stack.DialContextTCPAddrPort(ctx, netip.AddrPortFrom(server, 4001))
		if err != nil {
			return err
		}
		defer c.Close()
		accepted, err := listener.Accept()
		if err != nil {
			return err
		}
		defer accepted.Close()
		if from := netip.MustParseAddrPort(accepted.RemoteAddr().String()).Addr(); from != first.Address.Addr() {
			t.Errorf("the machine comes from %s", from)
		}
		go func() { _, _ = io.WriteString(c, "hello") }()
		got := make([]byte, 5)
		_, err = io.ReadFull(accepted, got)
		return err
	}
	change := func(on *tunnel.Tunnel, was, now []siderolink.Peer) {
		if err := on.Change(was, now); err != nil {
			t.Fatal(err)
		}
	}

	opened, listener := open()
	private := newKey(t)
	first.Key = private.Public()
	change(opened, nil, []siderolink.Peer{first})
	machine := node(t, first.Address.Addr(), private, key.Public(), port)
	if err := reaches(listener, machine, 20*time.Second); err != nil {
		t.Fatalf("first boot: %v", err)
	}

	private = newKey(t)
	second := siderolink.Peer{Address: first.Address, Key: private.Public()}
	change(opened, []siderolink.Peer{first}, []siderolink.Peer{second})
	machine = node(t, first.Address.Addr(), private, key.Public(), port)
	if err := reaches(listener, machine, 20*time.Second); err != nil {
		t.Fatalf("second boot: %v", err)
	}

	change(opened, []siderolink.Peer{second}, nil)
	if err := reaches(listener, machine, time.Second); err == nil {
		t.Error("a machine that is gone still gets through")
	}
	opened.Close()

	opened, listener = open()
	defer opened.Close()
	change(opened, nil, []siderolink.Peer{second})
	machine = node(t, first.Address.Addr(), private, key.Public(), port)
	if err := reaches(listener, machine, 20*time.Second); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
}
