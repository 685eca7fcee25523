package tftp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

const (
	// tickLength is how precisely retransmissions are timed.
	tickLength = 100 * time.Millisecond
	// defaultMTU is assumed where the interface cannot be found.
	defaultMTU  = 1500
	maxDatagram = 65535
)

// socket connects a desk with the network.
type socket struct {
	conn *net.UDPConn
	desk *desk
}

func newSocket(conn *net.UDPConn, server *Server) *socket {
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	s := &socket{conn: conn}
	s.desk = &desk{
		local:     local,
		mtu:       mtuOf(local),
		files:     server.config.Files,
		history:   newHistory(server.config.Chain),
		report:    server.report,
		transfers: map[netip.AddrPort]*transfer{},
		clients:   map[netip.Addr]int{},
		send: func(datagram []byte, to netip.AddrPort) {
			// A packet that cannot be sent is a packet lost: it is sent again.
			_, _ = conn.WriteToUDPAddrPort(datagram, to)
		},
	}
	return s
}

// serve handles datagrams until ctx ends and the last transfer is over.
func (s *socket) serve(ctx context.Context) error {
	defer func() { _ = s.conn.Close() }()
	wake := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Now()) })
	defer wake()
	buffer := make([]byte, maxDatagram)
	var finish, nextTick time.Time
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buffer)
		now := time.Now()
		switch {
		case err == nil:
			s.desk.receive(buffer[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), now)
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return fmt.Errorf("receive on udp %s: %w", s.conn.LocalAddr(), err)
		}
		if ctx.Err() != nil {
			s.desk.closing = true
			if finish.IsZero() {
				finish = now.Add(finishTime)
			}
			if len(s.desk.transfers) == 0 || now.After(finish) {
				s.desk.endAll(now)
				return nil
			}
		}
		nextTick = s.schedule(now, nextTick)
		if ctx.Err() != nil && !s.desk.closing {
			// It ended just now, and schedule undid the wake-up.
			_ = s.conn.SetReadDeadline(now)
		}
	}
}

// schedule lets the desk look at its clock when it is time to, and sees that
// the next read ends in time for the next look. While nobody reads, nothing
// wakes the process.
func (s *socket) schedule(now, nextTick time.Time) time.Time {
	if !now.Before(nextTick) {
		s.desk.tick(now)
	}
	switch {
	case len(s.desk.transfers) == 0 && !s.desk.closing:
		nextTick = time.Time{}
	case !now.Before(nextTick):
		nextTick = now.Add(tickLength)
	default:
		return nextTick
	}
	_ = s.conn.SetReadDeadline(nextTick)
	return nextTick
}

// mtuOf is the MTU of the interface that has an address.
func mtuOf(address netip.Addr) int {
	interfaces, err := net.Interfaces()
	if err != nil {
		return defaultMTU
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == address {
				return i.MTU
			}
		}
	}
	return defaultMTU
}
