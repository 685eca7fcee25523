package timeline

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

const (
	one, other = "52:54:00:00:00:01", "52:54:00:00:00:02"
	uuid       = "1c28b946-2f0a-59fb-a371-49bf64bc66a8"
)

func TestBook(t *testing.T) {
	dhcp := Sighting{UUID: uuid, MACs: []string{one}, Step: DHCP}
	tftp := Sighting{Address: "10.0.0.5", Step: TFTP}
	plan := Sighting{UUID: uuid, MACs: []string{one}, Address: "10.0.0.5", Step: IPXE}
	kernel := Sighting{Address: "10.0.0.5", Step: Kernel}
	agent := Sighting{Server: "a", MACs: []string{one}, Address: "10.0.0.5", Step: Agent}
	elsewhere := Sighting{MACs: []string{other}, Step: DHCP}
	neighbour := Sighting{Address: "10.0.0.6", Step: TFTP}

	for name, c := range map[string]struct {
		known bool // the firmware's word is enough
		seen  []Sighting
		want  []string // whose what is, at each sighting
	}{
		"the first boot": {
			seen: []Sighting{dhcp, tftp, elsewhere, neighbour, plan, kernel, agent},
			want: []string{"", "", "", "", "", "", "a dhcp tftp ipxe kernel agent"},
		},
		"a machine that is known": {
			known: true, seen: []Sighting{dhcp, tftp, elsewhere, plan, kernel, agent},
			want: []string{"a dhcp", "", "", "a tftp ipxe", "a kernel", "a agent"},
		},
		"by its adapter": {
			seen: []Sighting{agent, {UUID: uuid, MACs: []string{one}, Step: DHCP}, {UUID: uuid, MACs: []string{other}, Step: DHCP}},
			want: []string{"a agent", "a dhcp", ""},
		},
		"by the address that it had a moment ago": {
			seen: []Sighting{agent, kernel, neighbour},
			want: []string{"a agent", "a kernel", ""},
		},
		"who has another adapter, and its address": {
			seen: []Sighting{agent, {MACs: []string{other}, Address: "10.0.0.5", Step: IPXE}},
			want: []string{"a agent", ""},
		},
		"nobody's, for long": {
			seen: []Sighting{tftp, {Server: "a", Address: "10.0.0.5", Step: Agent, Time: noon().Add(11 * time.Minute)}},
			want: []string{"", "a agent"},
		},
		"an address of long ago": {
			seen: []Sighting{agent, {Address: "10.0.0.5", Step: TFTP, Time: noon().Add(11 * time.Minute)}},
			want: []string{"a agent", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(func(id, mac string) string {
				if c.known && id == uuid && mac == one {
					return "a"
				}

				return ""
			})

			var got []string

			for i, s := range c.seen {
				if s.Time.IsZero() {
					s.Time = noon().Add(time.Duration(i) * time.Second)
				}

				server, seen := b.of(s)
				for _, one := range seen {
					server += " " + one.Step
				}

				got = append(got, server)
			}

			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestBookIsBounded(t *testing.T) {
	b := newBook(func(string, string) string { return "" })
	for i := range 3 * maxNames {
		b.of(Sighting{Time: noon(), MACs: []string{fmt.Sprint(i)}, Step: DHCP})
		b.of(Sighting{Time: noon(), MACs: []string{fmt.Sprint("known", i)}, Address: fmt.Sprint(i), Server: "a", Step: Agent})
	}

	if len(b.unknown) > maxUnknown || len(b.byMAC) > maxNames || len(b.byAddress) > maxNames {
		t.Errorf("%d unknown, %d and %d names", len(b.unknown), len(b.byMAC), len(b.byAddress))
	}
}
