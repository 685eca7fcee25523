package wol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
	"github.com/sidero-appliance/sidero-appliance/power/internal/pause"
	"github.com/sidero-appliance/sidero-appliance/power/manual"
)

// A magic packet is sent several times, because nobody confirms one and switches that just woke a port lose the first.
const (
	repeats  = 3
	interval = 100 * time.Millisecond
)

// DefaultAddress is where UDP packets go: every station of the link, port 9 (discard).
func DefaultAddress() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 9)
}

// Config says whom to wake and how.
type Config struct {
	// MACs are the machine's cards. Each gets its packet: which of them listens is up to the firmware.
	MACs []net.HardwareAddr
	// Interface to send out of. Without one, UDP leaves by every interface that is up and can broadcast, because the kernel
	// would choose the default route's only.
	Interface string
	// Address of UDP packets; DefaultAddress when it is zero. A directed broadcast such as 10.1.255.255:9 wakes machines
	// behind a router that lets it pass, and is sent once, by the kernel's routes, unless Interface is set.
	Address netip.AddrPort
	// Ethernet adds raw frames, out of Interface. It needs CAP_NET_RAW.
	Ethernet bool
	// Password is SecureOn's, 4 or 6 bytes, for cards that have one. Optional.
	Password []byte
}

// Driver wakes one machine.
type Driver struct{ config Config }

var _ power.Driver = (*Driver)(nil)

// New checks the configuration and reports all that is wrong with it.
func New(config Config) (*Driver, error) {
	if !config.Address.IsValid() {
		config.Address = DefaultAddress()
	}
	if err := validate(config); err != nil {
		return nil, fmt.Errorf("configure Wake-on-LAN: %w", err)
	}
	return &Driver{config: config}, nil
}

func validate(config Config) error {
	var mistakes []error
	if len(config.MACs) == 0 {
		mistakes = append(mistakes, errors.New("macs: at least one is needed"))
	}
	for i, mac := range config.MACs {
		if len(mac) != 6 || mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00" {
			mistakes = append(mistakes, fmt.Errorf("macs[%d]: %q is not the MAC address of an Ethernet card", i, mac))
		}
	}
	if config.Ethernet && config.Interface == "" {
		mistakes = append(mistakes, errors.New("interface: needed for Ethernet frames"))
	}
	if !config.Address.Addr().Is4() || config.Address.Port() == 0 {
		mistakes = append(mistakes, fmt.Errorf("address: %s is not an IPv4 address and port (IPv6 has no broadcast)", config.Address))
	}
	if length := len(config.Password); length != 0 && length != 4 && length != 6 {
		mistakes = append(mistakes, fmt.Errorf("password: has %d bytes, not 4 or 6", length))
	}
	return errors.Join(mistakes...)
}

// State is always power.Unknown: nothing tells.
func (d *Driver) State(context.Context) (power.State, error) { return power.Unknown, nil }

// On sends the magic packets. It fails when none could be sent.
func (d *Driver) On(ctx context.Context) error {
	for i := range repeats {
		if i > 0 {
			if err := pause.For(ctx, interval); err != nil {
				return fmt.Errorf("wake machine: %w", err)
			}
		}
		if err := d.send(ctx); err != nil {
			return fmt.Errorf("wake machine: %w", err)
		}
	}
	return nil
}

// Off needs a person: Wake-on-LAN cannot.
func (d *Driver) Off(ctx context.Context) error { return manual.Driver{}.Off(ctx) }

// Cycle needs a person: Wake-on-LAN cannot turn off.
func (d *Driver) Cycle(ctx context.Context) error { return manual.Driver{}.Cycle(ctx) }

// BootFromNetwork needs a person. Much firmware boots from the network whenever Wake-on-LAN turned it on, but none tells
// whether it does.
func (d *Driver) BootFromNetwork(ctx context.Context, firmware power.Firmware) error {
	return manual.Driver{}.BootFromNetwork(ctx, firmware)
}

// Close has nothing to end.
func (d *Driver) Close() error { return nil }

// send sends each packet once by every way there is. One that works is enough.
func (d *Driver) send(ctx context.Context) error {
	interfaces, err := d.outgoing()
	if err != nil {
		return err
	}
	var failures []error
	sent := false
	try := func(err error) {
		sent = sent || err == nil
		failures = append(failures, err)
	}
	for _, mac := range d.config.MACs {
		packet := Packet(mac, d.config.Password)
		for _, name := range interfaces {
			try(sendUDP(ctx, name, d.config.Address, packet))
		}
		if d.config.Ethernet {
			try(sendFrame(d.config.Interface, packet))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if sent {
		return nil
	}
	return cmp.Or(errors.Join(failures...), errors.New("no interface is up that can broadcast: name one that machines are connected to"))
}

// outgoing are the interfaces for UDP; an empty name leaves it to the kernel's routes.
func (d *Driver) outgoing() ([]string, error) {
	if d.config.Interface != "" || d.config.Address.Addr() != DefaultAddress().Addr() {
		return []string{d.config.Interface}, nil
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return broadcasters(interfaces), nil
}

func broadcasters(interfaces []net.Interface) []string {
	const needed = net.FlagUp | net.FlagBroadcast
	var names []string
	for _, i := range interfaces {
		if i.Flags&needed == needed && i.Flags&net.FlagLoopback == 0 {
			names = append(names, i.Name)
		}
	}
	return names
}
