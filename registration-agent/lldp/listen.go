package lldp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settled is after how long a switch has announced itself, by the default interval of 30
	// seconds, even if one announcement was lost.
	settled = 65 * time.Second
	// look is how often interfaces are looked for that have come.
	look = time.Second
	// largest is the largest frame that is read.
	largest = 9216
)

// Listener hears announcements. It is of use before it runs: it knows nothing then.
type Listener struct {
	mu    sync.Mutex
	heard table
	// since is when the listener began to hear, by the index of the interface.
	since map[int]time.Time
}

// NewListener makes one that has heard nothing.
func NewListener() *Listener {
	return &Listener{heard: table{}, since: map[int]time.Time{}}
}

// Neighbours are those of an interface. They are known when one was heard, or would have
// been by now.
func (l *Listener) Neighbours(index int) (list []Announcement, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list = l.heard.of(index, time.Now())
	since, listens := l.since[index]
	return list, len(list) > 0 || listens && time.Since(since) >= settled
}

// Run listens on all interfaces that are switched on, until ctx ends.
func (l *Listener) Run(ctx context.Context) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(bigEndian(unix.ETH_P_LLDP)))
	if err != nil {
		return fmt.Errorf("listen for LLDP: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(look / time.Second)}); err != nil {
		return fmt.Errorf("listen for LLDP: %w", err)
	}
	frame := make([]byte, largest)
	var looked time.Time
	for ctx.Err() == nil {
		if time.Since(looked) >= look {
			if err := l.join(fd); err != nil {
				return err
			}
			looked = time.Now()
		}
		n, from, err := unix.Recvfrom(fd, frame, 0)
		switch source, isLink := from.(*unix.SockaddrLinklayer); {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN):
		case err != nil:
			return fmt.Errorf("listen for LLDP: %w", err)
		case isLink && source.Pkttype != unix.PACKET_OUTGOING:
			l.hear(source.Ifindex, frame[:n])
		}
	}
	return nil
}

// hear takes a frame in. What is no announcement is none of the machine's business.
func (l *Listener) hear(index int, payload []byte) {
	said, err := Parse(payload)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard.note(index, said, time.Now())
}

// join has adapters let announcements through, which go to addresses of their own (IEEE
// 802.1AB table 7-1). The kernel forgets that with the interface.
func (l *Listener) join(fd int) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range interfaces {
		if _, listens := l.since[one.Index]; listens || len(one.HardwareAddr) != 6 || one.Flags&net.FlagUp == 0 {
			continue
		}
		for _, last := range []byte{0x0e, 0x03, 0x00} {
			group := unix.PacketMreq{Ifindex: int32(one.Index), Type: unix.PACKET_MR_MULTICAST, Alen: 6, Address: [8]byte{0x01, 0x80, 0xc2, 0, 0, last}}
			// An interface that is gone again hears nothing.
			if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group); err != nil && !errors.Is(err, unix.ENODEV) {
				return fmt.Errorf("listen for LLDP on %s: %w", one.Name, err)
			}
		}
		l.since[one.Index] = time.Now()
	}
	return nil
}

// bigEndian is a number in the network's order, as socket(2) wants a packet's type.
func bigEndian(number uint16) uint16 { return number<<8 | number>>8 }
