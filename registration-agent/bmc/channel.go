package bmc

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/bougou/go-ipmi/pkg/types"
)

// Address is how a BMC is reached from the network.
type Address struct {
	// Channel is the BMC's number of its network interface.
	Channel uint8
	IP      netip.Addr
	// Port is 0 when the BMC does not say.
	Port uint16
	// Source is where the address comes from, for people.
	Source string
}

const (
	// lastChannel is the last number that a network interface may have (table 6-1).
	lastChannel = 0x0b
	// usualChannel is the network interface of nearly all BMCs, and the only one that
	// Sidero looks at.
	usualChannel = 1
	// mediumLAN is 802.3 LAN (table 6-3).
	mediumLAN = 4
)

// Parameters of Get LAN Configuration (table 23-4).
const (
	parameterIP     = 3
	parameterSource = 4
	parameterPort   = 8
)

// ErrNoAddress is in the error of a BMC that nobody can reach from the network.
var ErrNoAddress = errors.New("the BMC has no IPv4 address")

// lanChannels are the BMC's network interfaces. A BMC that does not tell of its channels
// is taken to have the usual one.
func lanChannels(ctx context.Context, device Device) ([]uint8, error) {
	var found []uint8
	for channel := uint8(1); channel <= lastChannel; channel++ {
		info, err := ask(ctx, device, types.CommandGetChannelInfo, channel)
		switch {
		case refused(err):
			continue // there is no such channel
		case err != nil:
			return nil, err
		}
		if medium, err := parseMedium(info); err == nil && medium == mediumLAN {
			found = append(found, channel)
		}
	}
	if len(found) == 0 {
		return []uint8{usualChannel}, nil
	}
	return found, nil
}

// parseMedium reads the answer to Get Channel Info (table 22-29).
func parseMedium(data []byte) (byte, error) {
	if len(data) < 2 {
		return 0, shortAnswer("channel", data)
	}
	return data[1] & 0x7f, nil
}

// readAddress asks how the BMC is reached by a channel. A port that it does not tell is 0.
func readAddress(ctx context.Context, device Device, channel uint8) (Address, error) {
	address := Address{Channel: channel}
	data, err := parameter(ctx, device, channel, parameterIP)
	if err != nil {
		return address, err
	}
	if address.IP, err = parseIP(data); err != nil {
		return address, err
	}
	for number, parse := range map[byte]func([]byte){
		parameterSource: func(data []byte) { address.Source = parseSource(data) },
		parameterPort:   func(data []byte) { address.Port = parsePort(data) },
	} {
		data, err := parameter(ctx, device, channel, number)
		if err != nil && !refused(err) {
			return address, err
		}
		parse(data)
	}
	return address, nil
}

// parameter is one of the LAN configuration's, without the revision before it (table 23-3).
func parameter(ctx context.Context, device Device, channel uint8, number byte) ([]byte, error) {
	data, err := ask(ctx, device, types.CommandGetLanConfigParam, channel, number, 0, 0)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, shortAnswer("LAN configuration", data)
	}
	return data[1:], nil
}

func parseIP(data []byte) (netip.Addr, error) {
	if len(data) < 4 {
		return netip.Addr{}, shortAnswer("IP address", data)
	}
	return netip.AddrFrom4([4]byte(data[:4])), nil
}

func parseSource(data []byte) string {
	if len(data) == 0 {
		return "unknown"
	}
	names := map[byte]string{1: "static", 2: "DHCP", 3: "set by the firmware", 4: "other"}
	if name, known := names[data[0]&0x0f]; known {
		return name
	}
	return "unknown"
}

func parsePort(data []byte) uint16 {
	if len(data) < 2 {
		return 0
	}
	return binary.LittleEndian.Uint16(data)
}

// choose picks the network interface that can be reached. With anyway one will do that
// has no address, because somebody knows where the BMC is.
func choose(addresses []Address, anyway bool) (Address, error) {
	for _, address := range addresses {
		if usable(address.IP) {
			return address, nil
		}
	}
	if len(addresses) > 0 && anyway {
		return addresses[0], nil
	}
	if len(addresses) == 0 {
		return Address{}, ErrNoAddress
	}
	first := addresses[0]
	return Address{}, fmt.Errorf("%w: it says %s (source: %s) on channel %d; connect its network port, or set an address in its settings",
		ErrNoAddress, first.IP, first.Source, first.Channel)
}

func usable(ip netip.Addr) bool {
	return ip.IsValid() && ip.IsGlobalUnicast()
}

// findAddress asks all network interfaces, and picks one.
func findAddress(ctx context.Context, device Device, anyway bool) (Address, error) {
	channels, err := lanChannels(ctx, device)
	if err != nil {
		return Address{}, fmt.Errorf("find the BMC's network interface: %w", err)
	}
	var addresses []Address
	var failed error
	for _, channel := range channels {
		address, err := readAddress(ctx, device, channel)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("read the BMC's address on channel %d: %w", channel, err))
			if !anyway || !refused(err) {
				continue
			}
		}
		addresses = append(addresses, address)
	}
	if len(addresses) == 0 && failed != nil {
		return Address{}, failed
	}
	return choose(addresses, anyway)
}

// Reachable tells that the address is one that others can use.
func (a Address) Reachable() bool { return usable(a.IP) }
