package appliance

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/appliance/network"
	"github.com/sidero-appliance/sidero-appliance/netboot/snippet"
)

// TestOwnCommand can be pasted into a shell, wherever the program is.
func TestOwnCommand(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if path, err := os.Executable(); err != nil || ownCommand() != shellWord(path) {
		t.Errorf("outside of the PATH it is called %s, want %s (%v)", ownCommand(), path, err)
	}
	if err := os.WriteFile(dir+"/sidero-appliance", []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := ownCommand(); got != "sidero-appliance" {
		t.Errorf("in the PATH it is called %s", got)
	}
}

func TestGreeting(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::1")
	for name, test := range map[string]struct {
		mode      DHCPMode
		advertise netip.Addr
		addresses []netip.Prefix
		apiPort   int
		want      *snippet.Values // nil: no snippets
		says      string
	}{
		"proxy":                     {mode: DHCPProxy, advertise: v4},
		"off":                       {mode: DHCPOff, advertise: v4, want: &snippet.Values{Address: v4, HTTPPort: 8081}, says: "(--dhcp=off)"},
		"another port is told":      {mode: DHCPOff, advertise: v4, apiPort: 80, want: &snippet.Values{Address: v4, HTTPPort: 80}},
		"an IPv6 address is told":   {mode: DHCPOff, advertise: v6, addresses: []netip.Prefix{netip.PrefixFrom(v4, 24)}, want: &snippet.Values{Address: v4, HTTPPort: 8081}},
		"there is no IPv4 address":  {mode: DHCPOff, advertise: v6, addresses: []netip.Prefix{netip.PrefixFrom(v6, 64)}, says: "give lan0 one"},
		"proxy without any address": {mode: DHCPProxy, advertise: v6},
	} {
		t.Run(name, func(t *testing.T) {
			s := site{Config: Defaults(), Advertise: test.advertise, Interfaces: []network.Interface{{Name: "lan0", Addresses: test.addresses}}}
			s.DHCP, s.APIPort = test.mode, test.apiPort
			var out strings.Builder
			if err := greet(&out, s); err != nil {
				t.Fatal(err)
			}
			said := out.String()
			if !strings.Contains(said, "sidero-appliance is ready") || !strings.Contains(said, "\n  export KUBECONFIG=/var/lib/sidero-appliance/admin.kubeconfig\n") ||
				!strings.Contains(said, test.says) || test.mode == DHCPProxy && strings.Contains(said, "DHCP") {
				t.Errorf("it says %s", said)
			}
			if test.want == nil {
				if strings.Contains(said, "undionly.kpxe") {
					t.Errorf("it names boot files: %s", said)
				}
				return
			}
			for _, text := range snippet.Texts(*test.want) {
				if !strings.Contains(said, "\n# "+text.Server+", "+text.Where+":\n\n"+text.Text) {
					t.Errorf("no snippet for %s in %s", text.Server, said)
				}
			}
		})
	}
}
