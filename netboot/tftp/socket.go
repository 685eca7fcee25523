package tftp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	// tickLength is how precisely retransmissions are timed.
	tickLength  = 100 * time.Millisecond
	maxDatagram = 65535
)

// socket connects desks with the network. It is open on all addresses, because
// they come and go with leases and failovers, and DHCP advertises whatever is
// there now; each datagram tells which address was asked, and is answered from
// that one.
type socket struct {
	conn   *net.UDPConn
	server *Server
	desks  map[netip.Addr]*desk // by our address
}

func newSocket(conn *net.UDPConn, server *Server) (*socket, error) {
	if err := ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true); err != nil {
		return nil, fmt.Errorf("ask for the addresses of tftp requests: %w", err)
	}
	return &socket{conn: conn, server: server, desks: map[netip.Addr]*desk{}}, nil
}

// serve handles datagrams until ctx ends and the last transfer is over.
func (s *socket) serve(ctx context.Context) error {
	defer func() { _ = s.conn.Close() }()
	wake := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Now()) })
	defer wake()
	buffer, control := make([]byte, maxDatagram), ipv4.NewControlMessage(ipv4.FlagDst|ipv4.FlagInterface)
	var finish, nextTick time.Time
	for {
		n, m, _, from, err := s.conn.ReadMsgUDPAddrPort(buffer, control)
		now := time.Now()
		switch {
		case err == nil:
			s.receive(buffer[:n], control[:m], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), now)
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return fmt.Errorf("receive on udp %s: %w", s.conn.LocalAddr(), err)
		}
		closing := ctx.Err() != nil
		if closing {
			if finish.IsZero() {
				finish = now.Add(s.server.config.finish())
			}
			if !s.busy() || now.After(finish) {
				s.endAll(now)
				return nil
			}
		}
		nextTick = s.schedule(now, nextTick, closing)
		if ctx.Err() != nil && !closing {
			// It ended just now, and schedule undid the wake-up.
			_ = s.conn.SetReadDeadline(now)
		}
	}
}

// receive hands a datagram to the desk of the address that was asked.
func (s *socket) receive(datagram, control []byte, from netip.AddrPort, now time.Time) {
	var about ipv4.ControlMessage
	if err := about.Parse(control); err != nil {
		s.server.report(Event{Outcome: NotServed, Remote: from, Err: err})
		return
	}
	asked, _ := netip.AddrFromSlice(about.Dst.To4())
	d := s.desks[asked]
	if d == nil {
		if d = s.newDesk(asked, about.IfIndex); d == nil {
			s.server.report(Event{Outcome: NotServed, Local: asked, Remote: from})
			return
		}
		s.desks[asked] = d
	}
	d.receive(datagram, from, now)
}

// newDesk makes the desk of an address that was asked through an interface. It
// is nil where the interface is not served, and for an address that is not one
// machine's: a request to all is left unanswered (RFC 1123 section 4.2.3.5).
func (s *socket) newDesk(address netip.Addr, index int) *desk {
	device, err := net.InterfaceByIndex(index)
	if err != nil || !s.server.config.serves(device) {
		return nil
	}
	holder := holderOf(address)
	if holder == nil {
		return nil
	}
	from := (&ipv4.ControlMessage{Src: address.AsSlice()}).Marshal()
	return &desk{
		local:     address,
		mtu:       min(device.MTU, holder.MTU), // this machine asks through its loopback
		files:     s.server.config.Files,
		history:   newHistory(s.server.config.Chain),
		report:    s.server.report,
		transfers: map[netip.AddrPort]*transfer{},
		clients:   map[netip.Addr]int{},
		send: func(datagram []byte, to netip.AddrPort) {
			// A packet that cannot be sent is a packet lost: it is sent again.
			_, _, _ = s.conn.WriteMsgUDPAddrPort(datagram, from, to)
		},
	}
}

// holderOf is the interface that has an address; nil for one of broadcast.
func holderOf(address netip.Addr) *net.Interface {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr() == address {
				return &i
			}
		}
	}
	return nil
}

// busy tells whether a transfer runs.
func (s *socket) busy() bool {
	for _, d := range s.desks {
		if len(d.transfers) > 0 {
			return true
		}
	}
	return false
}

// endAll gives up on everybody.
func (s *socket) endAll(now time.Time) {
	for _, d := range s.desks {
		d.endAll(now)
	}
}

// schedule lets the desks look at their clock when it is time to, and sees that
// the next read ends in time for the next look. While nobody reads, nothing
// wakes the process.
func (s *socket) schedule(now, nextTick time.Time, closing bool) time.Time {
	due := !now.Before(nextTick)
	for _, d := range s.desks {
		if d.closing = closing; due {
			d.tick(now)
		}
	}
	switch {
	case !s.busy() && !closing:
		nextTick = time.Time{}
	case due:
		nextTick = now.Add(tickLength)
	default:
		return nextTick
	}
	_ = s.conn.SetReadDeadline(nextTick)
	return nextTick
}
