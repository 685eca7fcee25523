package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listener is a port that the appliance is going to listen on.
type Listener struct {
	Network string // tcp or udp
	Host    string // empty: all addresses
	Port    int
	// Device is the interface that the socket is bound to. A DHCP server on
	// another interface, such as a hypervisor's own, is not in the way then.
	Device string
	// Cure is what to do, besides stopping whoever has the port, to stand behind
	// "or"; empty: nothing.
	Cure string
}

func (l Listener) name() string { return fmt.Sprintf("%d/%s", l.Port, l.Network) }

// BusyPorts tries each listener and lets go of it again; it returns an error for
// each that somebody else has.
func BusyPorts(ctx context.Context, listeners []Listener) []error {
	var errs []error
	for _, l := range listeners {
		err := l.try(ctx)
		switch {
		case err == nil, errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM): // MissingCapabilities tells
		case errors.Is(err, unix.EADDRINUSE):
			errs = append(errs, l.busy())
		default:
			errs = append(errs, fmt.Errorf("listen on port %s: %w: %s", l.name(), err, l.explain(err)))
		}
	}
	return errs
}

func (l Listener) busy() error {
	where, option, cure := "", "t", "stop it"
	if l.Device != "" {
		where = " on " + l.Device
	}
	if l.Network == "udp" {
		option = "u"
	}
	if l.Cure != "" {
		cure += ", or " + l.Cure
	}
	return fmt.Errorf("port %s%s is in use: find the holder with: ss -ln%sp 'sport = :%d' and %s", l.name(), where, option, l.Port, cure)
}

// explain says what to do about an error that is not a busy port.
func (l Listener) explain(err error) string {
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Sprintf("see with \"ip address\" whether %s is still there, and start again", l.Host)
	case errors.Is(err, unix.ENODEV):
		return fmt.Sprintf("see with \"ip link\" whether %s is still there, and start again", l.Device)
	case l.Cure != "":
		return l.Cure
	}
	return "see with \"ip address\" whether the network is as it should be, and start again"
}

func (l Listener) try(ctx context.Context) error {
	config := net.ListenConfig{Control: l.bindToDevice}
	address := net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
	if l.Network == "udp" {
		// DHCP and TFTP for firmware are IPv4; an IPv6 socket would also collide
		// with holders that are not in the way.
		c, err := config.ListenPacket(ctx, "udp4", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	c, err := config.Listen(ctx, l.Network, address)
	if err != nil {
		return err
	}
	return c.Close()
}

func (l Listener) bindToDevice(_, _ string, c syscall.RawConn) error {
	if l.Device == "" {
		return nil
	}
	var inner error
	err := c.Control(func(fd uintptr) { inner = unix.BindToDevice(int(fd), l.Device) })
	return errors.Join(err, inner)
}
