// Package tunnel is the appliance's end of SideroLink: a WireGuard device in this process, on whatever interface it is given, that
// talks to the machines it is told of.
package tunnel

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/sidero-appliance/sidero-appliance/metadata/siderolink"
)

// MTU of the tunnel, in bytes: IPv6's smallest, so that a packet in a packet fits any link.
const MTU = 1280

// Config is what a tunnel is made of.
type Config struct {
	// Interface carries what is inside the tunnel. The tunnel closes it.
	Interface tun.Device
	Key       siderolink.PrivateKey
	// Port is UDP's; 0 is any.
	Port uint16
	Log  *slog.Logger
}

// Tunnel runs until it is closed.
type Tunnel struct{ device *device.Device }

// Open starts a tunnel that knows no machine yet.
func Open(c Config) (*Tunnel, error) {
	opened := &Tunnel{device.NewDevice(c.Interface, &socket{}, &device.Logger{
		Verbosef: device.DiscardLogf,
		Errorf: func(format string, about ...any) {
			c.Log.Warn("trouble with the tunnel of SideroLink", "reason", fmt.Sprintf(format, about...))
		},
	})}

	err := opened.device.IpcSet(fmt.Sprintf("private_key=%s\nlisten_port=%d\n", c.Key.Hex(), c.Port))
	if err == nil {
		err = opened.device.Up()
	}

	if err != nil {
		opened.Close()

		return nil, fmt.Errorf("open SideroLink tunnel on port %d: %w", c.Port, err)
	}

	return opened, nil
}

// Close ends the tunnel and its interface.
func (t *Tunnel) Close() { t.device.Close() }

// Change lets the tunnel talk to machines instead of others: first the ends that are gone, then those that came.
// An end that stays as it is keeps its session.
func (t *Tunnel) Change(was, now []siderolink.Peer) error {
	if err := t.device.IpcSet(changes(was, now)); err != nil {
		return fmt.Errorf("change machines of SideroLink tunnel: %w", err)
	}

	return nil
}

// changes are what WireGuard's cross-platform configuration protocol has for a change of peers.
func changes(was, now []siderolink.Peer) string {
	var text strings.Builder

	for _, p := range without(was, now) {
		fmt.Fprintf(&text, "public_key=%s\nremove=true\n", hex.EncodeToString(p.Key[:]))
	}

	for _, p := range without(now, was) {
		fmt.Fprintf(&text, "public_key=%s\nreplace_allowed_ips=true\nallowed_ip=%s/%d\n", hex.EncodeToString(p.Key[:]), p.Address.Addr(),
			p.Address.Addr().BitLen())
	}

	return text.String()
}

// without are those of some that are not among others.
func without(some, others []siderolink.Peer) []siderolink.Peer {
	among := make(map[siderolink.Peer]bool, len(others))
	for _, p := range others {
		among[p] = true
	}

	var left []siderolink.Peer

	for _, p := range some {
		if !among[p] {
			left = append(left, p)
		}
	}

	return left
}
