package timeline

import (
	"slices"
	"time"
)

const (
	// maxUnknown is how many sightings wait for their machine to be known, and for how long. A machine tells who it is within
	// moments of its first step, or in its agent.
	maxUnknown    = 1024
	unknownKept   = longest
	maxNames      = 20_000
	addressIsKept = longest
)

// book knows whose sightings are whose.
type book struct {
	// find tells the Server of a machine by what its firmware tells, empty when that is not certain.
	find func(uuid, mac string) string

	// byMAC and byAddress are the Servers of machines that were told of with both.
	byMAC     map[string]string
	byAddress map[string]lodger
	unknown   []Sighting
}

// lodger is who had an address last.
type lodger struct {
	server string
	at     time.Time
}

func newBook(find func(uuid, mac string) string) *book {
	return &book{find: find, byMAC: map[string]string{}, byAddress: map[string]lodger{}}
}

// of returns whose a sighting is, and with it what was seen of the same machine before it was known. Without a server it is
// kept until that is known.
func (b *book) of(s Sighting) (server string, seen []Sighting) {
	if server = b.serverOf(s); server == "" {
		b.unknown = append(b.unknown, s)
		b.forgetUnknown(s.Time)

		return "", nil
	}

	seen = append(b.adopt(s), s)
	for _, one := range seen {
		b.remember(server, one)
	}

	return server, seen
}

// adopt takes from the unknown what was seen of the machine of a sighting: by the addresses of its network adapters, and for
// what has none by the addresses in the network that it had.
func (b *book) adopt(s Sighting) []Sighting {
	addresses := []string{s.Address}

	for _, u := range b.unknown {
		if u.Address != "" && meet(u.MACs, s.MACs) {
			addresses = append(addresses, u.Address)
		}
	}

	var seen []Sighting

	b.unknown = slices.DeleteFunc(b.unknown, func(u Sighting) bool {
		its := meet(u.MACs, s.MACs) || len(u.MACs) == 0 && u.Address != "" && slices.Contains(addresses, u.Address)
		if its && s.Time.Sub(u.Time) <= unknownKept {
			seen = append(seen, u)
		}

		return its
	})

	return seen
}

func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(mac string) bool { return slices.Contains(b, mac) })
}

func (b *book) serverOf(s Sighting) string {
	if s.Server != "" {
		return s.Server
	}

	if s.UUID != "" {
		mac := ""
		if len(s.MACs) > 0 {
			mac = s.MACs[0]
		}

		if server := b.find(s.UUID, mac); server != "" {
			return server
		}
	}

	if len(s.MACs) > 0 { // they tell more than an address
		return b.byMAC[s.MACs[0]]
	}

	if had, ok := b.byAddress[s.Address]; ok && s.Time.Sub(had.at) <= addressIsKept {
		return had.server
	}

	return ""
}

func (b *book) remember(server string, s Sighting) {
	if len(b.byMAC) >= maxNames || len(b.byAddress) >= maxNames {
		clear(b.byMAC) // machines tell who they are again
		clear(b.byAddress)
	}

	for _, mac := range s.MACs {
		b.byMAC[mac] = server
	}

	if s.Address != "" {
		b.byAddress[s.Address] = lodger{server, s.Time}
	}
}

func (b *book) forgetUnknown(now time.Time) {
	b.unknown = slices.DeleteFunc(b.unknown, func(u Sighting) bool { return now.Sub(u.Time) > unknownKept })
	b.unknown = b.unknown[max(0, len(b.unknown)-maxUnknown):]
}
