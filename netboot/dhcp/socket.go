package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	// defaultCheck is how often a socket looks whether its interface has been
	// replaced or its address changed.
	defaultCheck = 5 * time.Second
	// maxDatagram holds any UDP payload: OVMF announces that it takes 65280.
	maxDatagram = 65535
)

// socket receives on one port of one interface.
type socket struct {
	settings Interface
	port     uint16

	mu      sync.Mutex
	closed  bool
	conn    *ipv4.PacketConn
	index   int        // of the interface the socket is bound to
	address netip.Addr // to advertise
	source  netip.Addr // to send from
}

// open binds the socket to its interface, anew when it was open.
func (s *socket) open() error {
	device, err := net.InterfaceByName(s.settings.Name)
	if err != nil {
		return fmt.Errorf("listen on udp/%d: no interface %q: choose one that `ip link` shows with --interface", s.port, s.settings.Name)
	}
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failure error
		err := raw.Control(func(fd uintptr) { failure = bindToDevice(int(fd), s.settings.Name) })
		return errors.Join(err, failure)
	}}
	packets, err := config.ListenPacket(context.Background(), "udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), s.port).String())
	if err != nil {
		return s.explain(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.Join(net.ErrClosed, packets.Close())
	}
	if s.conn != nil {
		_ = s.conn.Close() // it belongs to an interface that is gone
	}
	s.conn, s.index = ipv4.NewPacketConn(packets), device.Index
	s.address, s.source = s.addressesOf(device)
	return nil
}

// bindToDevice prepares a socket before it is bound. SO_REUSEADDR is for a
// dnsmasq that serves several other interfaces of this machine and starts after
// the appliance: it takes port 67 on all addresses, sets the option as well, and
// without it on both sides would be refused. One that runs already is noticed
// before the start, because nobody can tell which interfaces it serves.
func bindToDevice(fd int, name string) error {
	return errors.Join(
		os.NewSyscallError("setsockopt SO_REUSEADDR", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)),
		os.NewSyscallError("setsockopt SO_BROADCAST", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)),
		os.NewSyscallError("setsockopt SO_BINDTODEVICE", unix.BindToDevice(fd, name)),
	)
}

// explain turns a bind error into a line that says what to do.
func (s *socket) explain(err error) error {
	cure := "see `ip addr show " + s.settings.Name + "`, or run with --dhcp=off"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		cure = fmt.Sprintf("another DHCP server or dnsmasq may hold it: see `ss -ulpn sport = :%d`, stop that, or run with --dhcp=off", s.port)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		cure = "give the process CAP_NET_BIND_SERVICE and CAP_NET_RAW (the systemd unit does), or run with --dhcp=off"
	}
	return fmt.Errorf("listen on udp/%d of %s: %w: %s", s.port, s.settings.Name, err, cure)
}

// addressesOf is what to advertise and what to send from: the configured
// address, else the interface's first IPv4 one, else none. Where the configured
// one is not this machine's, behind NAT or before a failover, the source is left
// to the kernel, which would refuse it.
func (s *socket) addressesOf(device *net.Interface) (advertised, source netip.Addr) {
	if s.settings.Address.IsValid() {
		everywhere, err := net.InterfaceAddrs()
		if err == nil && slices.Contains(ipv4Of(everywhere), s.settings.Address) {
			source = s.settings.Address
		}
		return s.settings.Address, source
	}
	here, err := device.Addrs()
	if own := ipv4Of(here); err == nil && len(own) > 0 {
		return own[0], own[0]
	}
	return netip.Addr{}, netip.Addr{}
}

func ipv4Of(addresses []net.Addr) (found []netip.Addr) {
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			found = append(found, prefix.Addr())
		}
	}
	return found
}

// receive hands datagrams to the server until ctx ends.
func (s *socket) receive(ctx context.Context, server *Server) {
	buffer := make([]byte, maxDatagram)
	due := time.Now().Add(server.check)
	for ctx.Err() == nil {
		// Whatever came in before: on a busy network no read waits for its deadline.
		if now := time.Now(); !now.Before(due) {
			s.follow(server)
			due = now.Add(server.check)
		}
		conn, in := s.current()
		_ = conn.SetReadDeadline(due)
		n, _, from, err := conn.ReadFrom(buffer)
		switch {
		case err == nil:
			in.Source = unmapped(from)
			server.handle(buffer[:n], in, s.send)
		case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		default: // the interface went down, for one; it may come back
			server.config.Log.Warn("receive dhcp packet", "interface", s.settings.Name, "error", err)
			pause(ctx, time.Until(due))
		}
	}
}

// current is the connection and the ingress of what comes in on it, less the
// source.
func (s *socket) current() (*ipv4.PacketConn, Ingress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn, Ingress{Interface: s.settings.Name, Address: s.address, Port: s.port}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// follow keeps up with an interface that was deleted and made again (a bridge
// at a network restart): a bound socket stays with the old one and hears
// nothing more. While it is gone the old socket is kept.
func (s *socket) follow(server *Server) {
	device, err := net.InterfaceByName(s.settings.Name)
	if err != nil {
		return
	}
	s.mu.Lock()
	replaced := device.Index != s.index
	s.address, s.source = s.addressesOf(device)
	s.mu.Unlock()
	if !replaced {
		return
	}
	if err := s.open(); err != nil {
		server.config.Log.Warn("follow interface", "interface", s.settings.Name, "error", err)
		return
	}
	server.config.Log.Info("interface was replaced, listening again", "interface", s.settings.Name)
}

// send writes a reply out of the interface, from the address it advertises.
func (s *socket) send(datagram []byte, to netip.AddrPort) error {
	s.mu.Lock()
	conn, control := s.conn, &ipv4.ControlMessage{Src: s.source.AsSlice(), IfIndex: s.index}
	s.mu.Unlock()
	_, err := conn.WriteTo(datagram, control, net.UDPAddrFromAddrPort(to))
	return err
}

func unmapped(from net.Addr) netip.AddrPort {
	udp, ok := from.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	source := udp.AddrPort()
	return netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
}

// close closes the socket for good.
func (s *socket) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	_ = s.conn.Close() // twice is harmless
}

func closeAll(sockets []*socket) {
	for _, s := range sockets {
		s.close()
	}
}
