package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"

	"golang.zx2c4.com/wireguard/conn"
)

// socket is one UDP socket, for IPv6 and IPv4, that reads one packet at a time. WireGuard's own reads 128 at once, for which it
// holds 16 MiB: too much for a few lines of logs and events.
type socket struct{ conn atomic.Pointer[net.UDPConn] }

// Open implements conn.Bind.
func (s *socket) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	packets, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", net.JoinHostPort("", strconv.Itoa(int(port))))
	if err != nil {
		return nil, 0, fmt.Errorf("listen: %w", err)
	}

	opened, isUDP := packets.(*net.UDPConn)
	local, hasAddress := packets.LocalAddr().(*net.UDPAddr)

	if !isUDP || !hasAddress || !s.conn.CompareAndSwap(nil, opened) {
		return nil, 0, errors.Join(conn.ErrBindAlreadyOpen, packets.Close())
	}

	return []conn.ReceiveFunc{receive(opened)}, local.AddrPort().Port(), nil
}

func receive(from *net.UDPConn) conn.ReceiveFunc {
	return func(packets [][]byte, sizes []int, senders []conn.Endpoint) (int, error) {
		n, remote, err := from.ReadFromUDPAddrPort(packets[0])
		if err != nil {
			return 0, err //nolint:wrapcheck // WireGuard looks for net.ErrClosed
		}

		sizes[0], senders[0] = n, &conn.StdNetEndpoint{AddrPort: remote}

		return 1, nil
	}
}

// Close implements conn.Bind. WireGuard closes what it has not opened too.
func (s *socket) Close() error {
	if opened := s.conn.Swap(nil); opened != nil {
		return opened.Close() //nolint:wrapcheck // its words are complete
	}

	return nil
}

// Send implements conn.Bind.
func (s *socket) Send(packets [][]byte, to conn.Endpoint) error {
	opened, remote := s.conn.Load(), netip.AddrPort{}
	if end, ok := to.(*conn.StdNetEndpoint); ok {
		remote = end.AddrPort
	}

	if opened == nil || !remote.IsValid() {
		return net.ErrClosed
	}

	for _, packet := range packets {
		if _, err := opened.WriteToUDPAddrPort(packet, remote); err != nil {
			return err //nolint:wrapcheck // its words are complete
		}
	}

	return nil
}

// ParseEndpoint implements conn.Bind.
func (*socket) ParseEndpoint(text string) (conn.Endpoint, error) {
	remote, err := netip.ParseAddrPort(text)
	if err != nil {
		return nil, fmt.Errorf("read endpoint: %w", err)
	}

	return &conn.StdNetEndpoint{AddrPort: remote}, nil
}

// SetMark implements conn.Bind: packets go by the ordinary routes.
func (*socket) SetMark(uint32) error { return nil }

// BatchSize implements conn.Bind.
func (*socket) BatchSize() int { return 1 }
