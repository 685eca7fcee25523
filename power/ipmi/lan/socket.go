package lan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// errSilence is when nothing that was waited for has come.
var errSilence = errors.New("no answer")

// socket is a UDP socket that talks to one address.
type socket struct {
	conn net.Conn
	// wait is how long the first datagram's answer is waited for; more for those after it.
	wait time.Duration
}

func dial(ctx context.Context, address string, wait time.Duration) (*socket, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	return &socket{conn, wait}, nil
}

// schedule is how long the answer to each of so many datagrams is waited for.
func (s *socket) schedule(tries int) []time.Duration {
	waits := make([]time.Duration, tries)
	for i := range waits {
		waits[i] = s.wait << max(i-1, 0)
	}
	return waits
}

// once is the schedule of a datagram that is not sent again. It ends when the other would.
func (s *socket) once(tries int) []time.Duration { return []time.Duration{s.wait << (tries - 1)} }

// exchange sends what send makes, and again when accept has not found the answer within the first of the waits, and so on.
// It ends with the context. Between calls nothing is read, so accept sees late answers to what was sent before.
func (s *socket) exchange(ctx context.Context, waits []time.Duration, send func() ([]byte, error), accept func(datagram []byte) bool) error {
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }) // fails on a closed socket, which reading then tells
	defer stop()
	for _, wait := range waits {
		datagram, err := send()
		if err != nil {
			return err
		}
		if _, err := s.conn.Write(datagram); err != nil {
			return unreachable(err)
		}
		if err := s.read(ctx, wait, accept); !errors.Is(err, errSilence) {
			return err
		}
	}
	return errSilence
}

// read reads until accept has found what it looks for, or for so long.
func (s *socket) read(ctx context.Context, wait time.Duration, accept func(datagram []byte) bool) error {
	if err := s.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	buffer := make([]byte, 2048) // IPMI messages have 255 bytes at most
	for {
		// After the deadline above, which would undo that of the context's end.
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := s.conn.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errSilence
		case err != nil:
			return unreachable(err)
		case accept(buffer[:n]):
			return nil
		}
	}
}

// unreachable is what ICMP says, which reading and writing fail with.
func unreachable(err error) error {
	// The number of this end's port is another one each time, and would make each failure news.
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: nothing listens on its UDP port (%w)", ErrUnreachable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}
