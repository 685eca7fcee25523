package lan

import (
	"errors"
	"net"
	"testing"
	"time"
)

// TestClosedPort asks a port at which nothing listens. That it is closed is told in the same words each time, whatever
// port the question came from: who polls would take other words for news.
func TestClosedPort(t *testing.T) {
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.LocalAddr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	ask := func() error {
		s, err := dial(t.Context(), address, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer s.conn.Close()
		if _, err := s.conn.Write([]byte("anybody?")); err != nil {
			return unreachable(err)
		}
		return s.read(t.Context(), 10*time.Second, func([]byte) bool { return true })
	}
	first, second := ask(), ask()
	if !errors.Is(first, ErrUnreachable) || second == nil || first.Error() != second.Error() {
		t.Errorf("got\n%v, and\n%v", first, second)
	}
}
