package httpboot

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// listener accepts no more connections than the limits say: what clients hold open costs memory and descriptors, which
// the rest of the appliance needs too.
type listener struct {
	net.Listener
	limits  Limits
	refused func(remote netip.Addr, reason string)

	mu        sync.Mutex
	open      int
	addresses map[netip.Addr]int // connections of each, where there are any
}

func (s *Server) accepting(inner net.Listener) *listener {
	return &listener{
		Listener:  inner,
		limits:    s.limits,
		addresses: map[netip.Addr]int{},
		refused: func(remote netip.Addr, reason string) {
			level := s.quiet.Level(slog.LevelWarn, remote.String(), reason)
			s.log.Log(context.Background(), level, "http connection refused", "remote", remote.String(), "reason", reason)
		},
	}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		remote := addressOf(conn)
		reason := l.take(remote)
		if reason == "" {
			limitUnsent(conn)
			return &connection{Conn: conn, release: sync.OnceFunc(func() { l.give(remote) })}, nil
		}
		l.refused(remote, reason)
		_ = conn.Close()
	}
}

// maxUnsent is how much of a response, in bytes, may wait in the kernel to be sent.
const maxUnsent = 128 << 10

// limitUnsent makes a write return soon after bytes have left. Without it the kernel takes megabytes at once and then
// nothing until a third of them has left: a client that reads steadily over a slow link would look like one that stalls.
func limitUnsent(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		// Where it cannot be set, only the slowest links suffer.
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent) })
	}
}

// take counts a connection, or says why there may be no more.
func (l *listener) take(remote netip.Addr) (reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch has, free := l.addresses[remote], l.limits.Connections-l.open; {
	case free <= 0:
		return "too many connections"
	case has >= l.limits.ConnectionsPerAddress && has >= free:
		return "too many connections from this address"
	}
	l.open++
	l.addresses[remote]++
	return ""
}

func (l *listener) give(remote netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.addresses[remote]--; l.addresses[remote] == 0 {
		delete(l.addresses, remote)
	}
}

func addressOf(conn net.Conn) netip.Addr {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return remote.AddrPort().Addr().Unmap()
}
