package snippet

import (
	"net/netip"
	"strconv"
	"strings"
)

// Values are what a DHCP server has to be told about one appliance.
type Values struct {
	// Address of the TFTP and HTTP servers: IPv4, as machines reach it.
	Address netip.Addr
	// HTTPPort that machines are told to use.
	HTTPPort uint16
}

// Snippet is what one DHCP server is told.
type Snippet struct {
	// Server is the DHCP server's name.
	Server string
	// Where says where the text belongs.
	Where string
	// Text ends with a line feed.
	Text string
}

// Texts are the snippets for all known DHCP servers, the most common ones first.
func Texts(v Values) []Snippet {
	fill := strings.NewReplacer(
		"{address}", v.Address.String(),
		"{http}", "http://"+v.Address.String()+":"+strconv.Itoa(int(v.HTTPPort)),
	)
	snippets := []Snippet{
		{"dnsmasq", "in a file of its own, /etc/dnsmasq.d/sidero.conf", dnsmasq},
		{"ISC dhcpd", "in /etc/dhcp/dhcpd.conf, outside of every subnet and group", dhcpd},
		{"Kea", `in /etc/kea/kea-dhcp4.conf, within "Dhcp4"; if it has "client-classes" already, add these four to them`, kea},
		{"MikroTik RouterOS 7.4 or newer", "in a terminal; if your DHCP server is not named defconf, replace that name", routerOS},
		{"OpenWrt", "in a shell", openWrt},
		{"UniFi and other routers that take one file name", "in the settings of the network: in UniFi, DHCP's Network Boot", other},
	}
	for i := range snippets {
		snippets[i].Text = fill.Replace(snippets[i].Text)
	}
	return snippets
}
