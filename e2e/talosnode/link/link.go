// Package link is a node's end of SideroLink, with what it tells about itself there: events and kernel log lines, as Talos sends them.
package link

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	// triesAgain is the pause after something has failed.
	triesAgain = time.Second
	// asksWithin bounds a call, and a connection.
	asksWithin = 10 * time.Second
	// kept is how many events and lines wait for a connection. Later ones are lost, as in Talos's own buffers.
	kept = 1000
)

// Endpoints are where a node reports to. What is empty is not done.
type Endpoints struct {
	// API is SideroLink's, such as grpc://192.0.2.1:8081.
	API *url.URL
	// Events is HOST:PORT of the event sink.
	Events string
	// Logs are URLs such as tcp://[fd00::1]:4001.
	Logs []*url.URL
}

// Link keeps events and lines until they are sent.
type Link struct {
	// UUID of the machine, and Release of Talos that it runs.
	UUID, Release string
	// Log of the link's own troubles, which is not sent.
	Log *slog.Logger

	events chan item
	lines  chan []byte

	mu     sync.Mutex
	tunnel *tunnel
}

// item is an event to be sent, or a mark, closed when all events before it are sent.
type item struct {
	event proto.Message
	mark  chan struct{}
}

// New makes a link that sends nothing before Run.
func New(uuid, release string, log *slog.Logger) *Link {
	return &Link{UUID: uuid, Release: release, Log: log, events: make(chan item, kept), lines: make(chan []byte, kept)}
}

// Publish sends an event some time.
func (l *Link) Publish(event proto.Message) {
	select {
	case l.events <- item{event: event}:
	default:
	}
}

// Flush waits until all events are sent, or the context ends.
func (l *Link) Flush(ctx context.Context) {
	mark := make(chan struct{})

	select {
	case l.events <- item{mark: mark}:
	case <-ctx.Done():
		return
	}

	select {
	case <-mark:
	case <-ctx.Done():
	}
}

// Address is the node's in the tunnel, invalid before it has joined.
func (l *Link) Address() netip.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.tunnel == nil {
		return netip.Addr{}
	}

	return l.tunnel.prefix.Addr()
}

// Run joins SideroLink and sends, until the context ends.
func (l *Link) Run(ctx context.Context, to Endpoints) {
	if to.API != nil && !l.enter(ctx, to.API) {
		return
	}

	var all sync.WaitGroup

	if to.Events != "" {
		all.Go(func() { l.report(ctx, to.Events) })
	}

	if len(to.Logs) > 0 {
		all.Go(func() { l.stream(ctx, to.Logs[0].Host) })
	}

	all.Wait()
	<-ctx.Done()
	l.leave()
}

// enter joins, however long that takes. It is false when the context has ended.
func (l *Link) enter(ctx context.Context, api *url.URL) bool {
	for {
		joined, err := join(ctx, api, l.UUID, l.Release)
		if err == nil {
			l.mu.Lock()
			l.tunnel = joined
			l.mu.Unlock()
			l.Log.Info("has joined SideroLink", "tunnel", joined.prefix.Addr())

			return true
		}

		l.Log.Debug("cannot join SideroLink yet", "error", err)

		if !wait(ctx) {
			return false
		}
	}
}

func (l *Link) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()

	if l.tunnel != nil {
		l.tunnel.close()
		l.tunnel = nil
	}
}

// dial connects through the tunnel where that leads to an address, and else by the node's network.
func (l *Link) dial(ctx context.Context, address string) (net.Conn, error) {
	l.mu.Lock()
	through := l.tunnel
	l.mu.Unlock()

	if to, err := netip.ParseAddrPort(address); err == nil && through != nil && through.prefix.Masked().Contains(to.Addr()) {
		connection, err := through.stack.DialContextTCPAddrPort(ctx, to)
		if err != nil {
			return nil, fmt.Errorf("dial in the tunnel: %w", err)
		}

		return connection, nil
	}

	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

func wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(triesAgain):
		return true
	}
}
