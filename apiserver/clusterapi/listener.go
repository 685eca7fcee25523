package clusterapi

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Listener is a net.Listener without an address: only Dial, in the same process, reaches it. Whoever dials waits until
// the connection is accepted, so that what is called while the appliance starts is late and does not fail.
type Listener struct {
	accepting chan net.Conn
	closed    chan struct{}
	close     sync.Once
}

var _ net.Listener = (*Listener)(nil)

// NewListener makes a Listener.
func NewListener() *Listener {
	return &Listener{accepting: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to whoever accepts, whatever the address.
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()

	select {
	case l.accepting <- far:
		return near, nil
	case <-l.closed:
		return nil, fmt.Errorf("connect within the process: %w", net.ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("connect within the process: %w", ctx.Err())
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case connection := <-l.accepting:
		return connection, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *Listener) Close() error {
	l.close.Do(func() { close(l.closed) })

	return nil
}

// Addr implements net.Listener.
func (*Listener) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "process" }
func (address) String() string  { return "within the process" }
