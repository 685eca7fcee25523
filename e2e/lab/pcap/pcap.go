// Package pcap writes captures of Ethernet frames and reads the UDP datagrams out
// of them, for tests that judge what was on the wire. The format is that of
// pcap-savefile(5), which tcpdump and Wireshark share. Reading knows IPv4 without
// fragments and UDP; every other packet is passed over. The package never grows
// into a protocol analyser.
package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// Datagram is one UDP datagram as it was on the wire.
type Datagram struct {
	Time                time.Time
	FromMAC, ToMAC      net.HardwareAddr
	Source, Destination netip.AddrPort
	Payload             []byte
}

const (
	microseconds     = 0xa1b2c3d4 // the magic number of files with times in microseconds
	linkTypeEthernet = 1
)

// MaxFrame is the length of the longest frame a capture may hold, in bytes: what
// tcpdump takes. Frames between namespaces reach 64 KiB before segmentation.
const MaxFrame = 1 << 18

// WriteHeader begins a capture.
func WriteHeader(w io.Writer) error {
	order := binary.LittleEndian
	header := order.AppendUint32(nil, microseconds)
	header = order.AppendUint16(header, 2) // version 2.4
	header = order.AppendUint16(header, 4)
	header = append(header, make([]byte, 8)...) // reserved
	header = order.AppendUint32(header, MaxFrame)
	header = order.AppendUint32(header, linkTypeEthernet)
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}

// WriteFrame adds a frame to a capture, in one write.
func WriteFrame(w io.Writer, at time.Time, frame []byte) error {
	if len(frame) > MaxFrame {
		return fmt.Errorf("write capture: frame of %d bytes: more than %d", len(frame), MaxFrame)
	}
	order := binary.LittleEndian
	record := order.AppendUint32(make([]byte, 0, 16+len(frame)), uint32(at.Unix()))
	record = order.AppendUint32(record, uint32(at.Nanosecond()/1000))
	record = order.AppendUint32(record, uint32(len(frame))) // stored
	record = order.AppendUint32(record, uint32(len(frame))) // on the wire
	if _, err := w.Write(append(record, frame...)); err != nil {
		return fmt.Errorf("write capture: %w", err)
	}
	return nil
}

// ReadFile reads the capture at path.
func ReadFile(path string) ([]Datagram, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read capture: %w", err)
	}
	defer file.Close()
	datagrams, err := Read(bufio.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("read capture %s: %w", path, err)
	}
	return datagrams, nil
}

// Read reads a capture to its end. A last packet that is cut short, as after a
// kill of tcpdump, is left out.
func Read(r io.Reader) ([]Datagram, error) {
	order, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	var datagrams []Datagram
	for {
		at, packet, err := readPacket(r, order)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return datagrams, nil
		}
		if err != nil {
			return nil, err
		}
		if datagram, ok := decode(packet); ok {
			datagram.Time = at
			datagrams = append(datagrams, datagram)
		}
	}
}

// readHeader reads the file's header, whose magic number tells the byte order of
// all that follows.
func readHeader(r io.Reader) (binary.ByteOrder, error) {
	header := make([]byte, 24)
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, fmt.Errorf("read file header: %w", err)
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint32(header) != microseconds {
			continue
		}
		if link := order.Uint32(header[20:]) & 0xffff; link != linkTypeEthernet {
			return nil, fmt.Errorf("link type %d: only Ethernet (1) is known", link)
		}
		return order, nil
	}
	return nil, fmt.Errorf("magic number %x: not a pcap file with microseconds", header[:4])
}

func readPacket(r io.Reader, order binary.ByteOrder) (time.Time, []byte, error) {
	header := make([]byte, 16)
	if _, err := io.ReadFull(r, header); err != nil {
		return time.Time{}, nil, err
	}
	length := order.Uint32(header[8:])
	if length > MaxFrame {
		return time.Time{}, nil, fmt.Errorf("packet of %d bytes: more than %d", length, MaxFrame)
	}
	packet := make([]byte, length)
	_, err := io.ReadFull(r, packet)
	at := time.Unix(int64(order.Uint32(header)), int64(order.Uint32(header[4:]))*int64(time.Microsecond))
	return at, packet, err
}

// decode takes a datagram out of its Ethernet II frame (RFC 894), IPv4 packet
// (RFC 791) and UDP header (RFC 768).
func decode(frame []byte) (Datagram, bool) {
	const ethernet, etherTypeIPv4, protocolUDP, udpHeader = 14, 0x0800, 17, 8
	if len(frame) < ethernet+20 || binary.BigEndian.Uint16(frame[12:]) != etherTypeIPv4 {
		return Datagram{}, false
	}
	ip := frame[ethernet:]
	headerLength := int(ip[0]&0x0f) * 4
	total := int(binary.BigEndian.Uint16(ip[2:]))
	fragment := binary.BigEndian.Uint16(ip[6:])&0x3fff != 0
	whole := headerLength >= 20 && headerLength+udpHeader <= total && total <= len(ip) // Ethernet pads short packets
	if ip[0]>>4 != 4 || ip[9] != protocolUDP || fragment || !whole {
		return Datagram{}, false
	}
	udp := ip[headerLength:total]
	end := int(binary.BigEndian.Uint16(udp[4:]))
	if end < udpHeader || end > len(udp) {
		return Datagram{}, false
	}
	endpoint := func(address, port []byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(address)), binary.BigEndian.Uint16(port))
	}
	return Datagram{
		FromMAC: frame[6:12], ToMAC: frame[:6],
		Source: endpoint(ip[12:16], udp[0:2]), Destination: endpoint(ip[16:20], udp[2:4]),
		Payload: udp[udpHeader:end],
	}, true
}
