package wol

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendUDP sends out of an interface, or where routes lead when its name is empty.
func sendUDP(ctx context.Context, name string, to netip.AddrPort, packet []byte) error {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return prepare(raw, name) }}
	socket, err := config.ListenPacket(ctx, "udp4", "0.0.0.0:0")
	if err != nil {
		return fmt.Errorf("open UDP socket on %s: %w", name, explain(err))
	}
	defer socket.Close()
	if _, err := socket.WriteTo(packet, net.UDPAddrFromAddrPort(to)); err != nil {
		return fmt.Errorf("send magic packet to %s: %w", to, explain(err))
	}
	return nil
}

// prepare allows broadcast and binds to the interface: with the limited broadcast address no route tells where to.
func prepare(raw syscall.RawConn, name string) error {
	var err error
	control := raw.Control(func(fd uintptr) {
		if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err == nil && name != "" {
			err = unix.BindToDevice(int(fd), name)
		}
	})
	return errors.Join(control, err)
}

// sendFrame sends an Ethernet frame (packet(7)).
func sendFrame(name string, packet []byte) error {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("find interface %q: %w: see \"ip link\"", name, err)
	}
	if len(device.HardwareAddr) != 6 {
		return fmt.Errorf("send magic frame: interface %s is not Ethernet", name)
	}
	// Protocol 0 receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", explain(err))
	}
	defer unix.Close(fd)
	to := unix.SockaddrLinklayer{Protocol: bigEndian(etherType), Ifindex: device.Index}
	if err := unix.Sendto(fd, frame(device.HardwareAddr, packet), 0, &to); err != nil {
		return fmt.Errorf("send magic frame on %s: %w", name, explain(err))
	}
	return nil
}

// bigEndian is a number as the kernel reads it in network byte order.
func bigEndian(number uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, number))
}

// explain adds to an error of the kernel what to do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it needs CAP_NET_RAW", err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: see \"ip link\" for the names of interfaces", err)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%w: see \"ip address\" for the interface the machine is connected to", err)
	}
	return err
}
