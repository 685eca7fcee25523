package lldp

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// tlv writes a part.
func tlv(kind byte, value string) string {
	return string([]byte{kind<<1 | byte(len(value)>>8), byte(len(value))}) + value
}

const end = "\x00\x00"

// must are the three parts that have to be there.
func must() string {
	return tlv(1, "\x04\x00\x11\x22\x33\x44\x55") + tlv(2, "\x05Ethernet1/7") + tlv(3, "\x00\x78")
}

func TestParse(t *testing.T) {
	plain := Announcement{ChassisID: "00:11:22:33:44:55", PortID: "Ethernet1/7", TTL: 2 * time.Minute}
	with := func(change func(*Announcement)) Announcement {
		said := plain
		change(&said)
		return said
	}
	ids := func(chassis, port string) string { return tlv(1, chassis) + tlv(2, port) + tlv(3, "\x00\x78") + end }
	named := func(chassis, port string) Announcement {
		return Announcement{ChassisID: chassis, PortID: port, TTL: 2 * time.Minute}
	}

	for name, test := range map[string]struct {
		payload string
		want    Announcement
	}{
		"the least":             {must() + end, plain},
		"padded":                {must() + end + strings.Repeat("\x00", 20), plain},
		"without an end":        {must(), plain},
		"names for people":      {must() + tlv(4, "uplink \x1b[31mred") + tlv(5, "sw-1.example") + end, with(func(a *Announcement) { a.PortDescription, a.SystemName = "uplink [31mred", "sw-1.example" })},
		"no UTF-8":              {must() + tlv(5, "\xff\xfe") + end, plain},
		"a VLAN":                {must() + tlv(127, "\x00\x80\xc2\x01\x0f\xfe") + end, with(func(a *Announcement) { a.VLAN = 4094 })},
		"no VLAN":               {must() + tlv(127, "\x00\x80\xc2\x01\x00\x00") + end, plain},
		"a VLAN out of range":   {must() + tlv(127, "\x00\x80\xc2\x01\x0f\xff") + end, plain},
		"a VLAN that is short":  {must() + tlv(127, "\x00\x80\xc2\x01\x0f") + end, plain},
		"another maker's part":  {must() + tlv(127, "\x00\x12\x0f\x01\x00\x07") + tlv(9, "?") + end, plain},
		"behind the end":        {must() + end + tlv(5, "not me"), plain},
		"no time to live":       {tlv(1, "\x07c") + tlv(2, "\x07p") + tlv(3, "\x00\x00") + end, Announcement{ChassisID: "c", PortID: "p"}},
		"a port's address":      {ids("\x07c", "\x03\x02\x00\x00\x00\x00\x01"), named("c", "02:00:00:00:00:01")},
		"addresses of networks": {ids("\x05\x01\x0a\x00\x00\x01", "\x04\x02"+strings.Repeat("\x00", 15)+"\x01"), named("10.0.0.1", "::1")},
		"numbers":               {ids("\x07\x00\x01", "\x07\x01\xff"), named("0001", "01ff")},
		"an address cut off":    {ids("\x04\x00\x11", "\x05\x01"), named("0011", "01")},
		"half a network's":      {ids("\x05\x01\x0a", "\x07p"), named("010a", "p")},
		"the longest":           {ids("\x07"+strings.Repeat("c", 255), "\x07p"), named(strings.Repeat("c", 255), "p")},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := Parse([]byte(test.payload)); err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, payload := range map[string]string{
		"nothing":               "",
		"no parts":              end,
		"another order":         tlv(2, "\x05p") + tlv(1, "\x07c") + tlv(3, "\x00\x78") + end,
		"no time to live":       tlv(1, "\x07c") + tlv(2, "\x05p") + end,
		"a short time":          tlv(1, "\x07c") + tlv(2, "\x05p") + tlv(3, "\x78") + end,
		"no name of the switch": tlv(1, "\x07") + tlv(2, "\x05p") + tlv(3, "\x00\x78") + end,
		"too long":              tlv(1, "\x07"+strings.Repeat("c", 256)) + tlv(2, "\x05p") + tlv(3, "\x00\x78") + end,
		"cut off":               must() + "\x0a\x0dsw",
		"half a head":           must() + "\x0a",
	} {
		if got, err := Parse([]byte(payload)); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(must() + tlv(4, "port") + tlv(5, "name") + tlv(127, "\x00\x80\xc2\x01\x00\x07") + end))
	f.Add([]byte(tlv(1, "\x05\x01\x0a\x00\x00\x01") + tlv(2, "\x04\x02") + tlv(3, "\x00\x00")))
	f.Add(bytes.Repeat([]byte("\x02\x00"), 300))
	f.Fuzz(func(t *testing.T, payload []byte) {
		said, err := Parse(payload)
		if err != nil {
			return
		}
		// What the appliance takes: texts of at most 512 bytes.
		for _, text := range []string{said.ChassisID, said.PortID, said.SystemName, said.PortDescription} {
			if len(text) > 512 || !utf8.ValidString(text) {
				t.Errorf("%q", text)
			}
		}
		if said.ChassisID == "" || said.PortID == "" || said.VLAN > 4094 {
			t.Errorf("got %+v", said)
		}
	})
}

func TestTable(t *testing.T) {
	now := time.Unix(0, 0)
	heard := table{}
	port := func(name string, ttl time.Duration) Announcement {
		return Announcement{ChassisID: "c", PortID: name, TTL: ttl}
	}
	names := func(index int) string {
		var list []string
		for _, said := range heard.of(index, now) {
			list = append(list, said.PortID)
		}
		return strings.Join(list, " ")
	}
	for _, step := range []struct {
		what  string
		index int
		said  Announcement
		later time.Duration
		want  string
	}{
		{"first", 1, port("b", time.Minute), 0, "b"},
		{"another", 1, port("a", 2*time.Minute), 0, "a b"},
		{"on another interface", 2, port("x", time.Minute), 0, "x"},
		{"again", 1, port("b", 2*time.Minute), time.Minute, "a b"},
		{"taken back", 1, port("b", 0), 0, "a"},
		{"too old", 1, port("c", time.Minute), 2 * time.Minute, "c"},
		{"more", 1, port("d", time.Minute), 0, "c d"},
		{"more", 1, port("e", time.Minute), 0, "c d e"},
		{"more", 1, port("f", time.Minute), 0, "c d e f"},
		{"too many", 1, port("g", time.Minute), 0, "c d e f"},
	} {
		now = now.Add(step.later)
		heard.note(step.index, step.said, now)
		if got := names(step.index); got != step.want {
			t.Errorf("%s: got %q, want %q", step.what, got, step.want)
		}
	}
	now = now.Add(time.Hour)
	if got := names(1); got != "" {
		t.Errorf("an hour later there is %q", got)
	}
}
