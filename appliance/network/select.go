package network

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Select returns the interfaces with the given names, or without names the one
// that machines are most likely behind: the default route's, else the only one
// that is up and has an IPv4 address. The error says what there is to choose from.
func Select(host Host, names []string) ([]Interface, error) {
	if len(names) == 0 {
		i, err := guess(host)
		if err != nil {
			return nil, err
		}
		return []Interface{i}, nil
	}
	var selected []Interface
	var errs []error
	for _, name := range names {
		i, err := host.named(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		selected = append(selected, i)
	}
	return selected, errors.Join(errs...)
}

// named finds an interface that can serve machines.
func (h Host) named(name string) (Interface, error) {
	at := slices.IndexFunc(h.Interfaces, func(i Interface) bool { return i.Name == name })
	if at < 0 {
		return Interface{}, fmt.Errorf("there is no network interface %s: choose one with --interface (%s)", name, h.candidates())
	}
	i := h.Interfaces[at]
	if !i.Up {
		return Interface{}, fmt.Errorf("network interface %s is down: switch it on with: ip link set %s up", name, name)
	}
	if len(i.Addresses) == 0 {
		return Interface{}, fmt.Errorf("network interface %s has no address: give it one with: ip address add ADDRESS/LENGTH dev %s", name, name)
	}
	return i, nil
}

func guess(host Host) (Interface, error) {
	routes := slices.Clone(host.DefaultRoutes)
	slices.SortStableFunc(routes, func(a, b Route) int { return cmp.Compare(a.Metric, b.Metric) })
	for _, r := range routes {
		for _, i := range host.Interfaces {
			if i.Index == r.Interface && i.usable() {
				return i, nil
			}
		}
	}
	var usable []Interface
	for _, i := range host.Interfaces {
		if i.usable() {
			usable = append(usable, i)
		}
	}
	switch len(usable) {
	case 1:
		return usable[0], nil
	case 0:
		return Interface{}, fmt.Errorf("no network interface is up and has an IPv4 address: configure one, or choose with --interface (%s)", host.candidates())
	default:
		return Interface{}, fmt.Errorf("there is no default route to tell which network the machines are on: choose with --interface (%s)", host.candidates())
	}
}

func (i Interface) usable() bool { return i.Up && !i.Loopback && i.IPv4().IsValid() }

// candidates lists the interfaces in words.
func (h Host) candidates() string {
	var words []string
	for _, i := range h.Interfaces {
		if i.Loopback {
			continue
		}
		words = append(words, i.Name+" "+i.state())
	}
	if len(words) == 0 {
		return "there are none but the loopback"
	}
	return "there are: " + strings.Join(words, ", ")
}

func (i Interface) state() string {
	switch {
	case !i.Up:
		return "down"
	case len(i.Addresses) == 0:
		return "without an address"
	default:
		return i.Addresses[0].Addr().String()
	}
}

// Advertise is the address that machines and kubeconfigs use: the wanted one if
// it is valid, else the first IPv4 address among the interfaces.
func Advertise(selected []Interface, wanted netip.Addr) (netip.Addr, error) {
	if wanted.IsValid() {
		return wanted, nil
	}
	var names []string
	for _, i := range selected {
		if a := i.IPv4(); a.IsValid() {
			return a, nil
		}
		names = append(names, i.Name)
	}
	return netip.Addr{}, fmt.Errorf("no IPv4 address on %s: add one, or name the address to use with --advertise-address", strings.Join(names, ", "))
}
