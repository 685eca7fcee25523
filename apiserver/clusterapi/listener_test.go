package clusterapi

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
)

func TestListener(t *testing.T) {
	l := NewListener()

	go func() {
		for connection, err := l.Accept(); err == nil; connection, err = l.Accept() {
			_, _ = connection.Write([]byte("hello")) // the other end sees what is missing
			connection.Close()
		}
	}()

	for range 2 {
		connection, err := l.Dial(t.Context(), "tcp", "ignored:1")
		if err != nil {
			t.Fatal(err)
		}

		if said, err := io.ReadAll(connection); err != nil || string(said) != "hello" {
			t.Errorf("read %q, %v", said, err)
		}
	}

	for range 2 { // closing twice is fine
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}

	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept on a closed listener: %v", err)
	}

	if _, err := l.Dial(t.Context(), "tcp", "ignored:1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial to a closed listener: %v", err)
	}
}

// TestListenerLate dials where nobody accepts yet.
func TestListenerLate(t *testing.T) {
	l := NewListener()
	ended, cancel := context.WithCancel(t.Context())

	cancel()

	if _, err := l.Dial(ended, "tcp", "ignored:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("dial where nobody accepts: %v", err)
	}

	dialled := make(chan error, 1)

	go func() {
		_, err := l.Dial(t.Context(), "tcp", "ignored:1")
		dialled <- err
	}()

	if _, err := l.Accept(); err != nil {
		t.Error(err)
	}

	if err := <-dialled; err != nil {
		t.Error(err)
	}
}
