package appliance

import (
	"fmt"
	"io"
	"strings"

	"github.com/sidero-appliance/sidero-appliance/netboot/snippet"
)

// greet tells a person what to type next and, where the appliance answers no DHCP, what to tell the server that does.
func greet(w io.Writer, s site) error {
	text := fmt.Sprintf(`
sidero-appliance is ready. The administrator's kubeconfig is %[1]s

Type this next:
  export KUBECONFIG=%[2]s
  kubectl get servers -w      # and switch machines on: they boot from the network and turn up here
  kubectl patch server UUID --type merge -p '{"spec":{"accepted":true}}'      # accept one of them

`, s.KubeconfigPath(), shellWord(s.KubeconfigPath()))
	if s.DHCP == DHCPOff {
		text += adviseDHCP(s)
	}
	_, err := io.WriteString(w, text)
	return err
}

// adviseDHCP is what to paste into the network's own DHCP server.
func adviseDHCP(s site) string {
	address := s.bootAddress()
	if !address.IsValid() {
		return fmt.Sprintf("It answers no DHCP (--dhcp=off), and has no IPv4 address to name to machines: give %s one.\n\n", s.Interfaces[0].Name)
	}
	var b strings.Builder
	b.WriteString("It answers no DHCP (--dhcp=off): your DHCP server has to name the boot files. Paste what fits it.\n")
	for _, text := range snippet.Texts(snippet.Values{Address: address, HTTPPort: uint16(s.AdvertisedHTTPPort())}) {
		fmt.Fprintf(&b, "\n# %s, %s:\n\n%s", text.Server, text.Where, text.Text)
	}
	b.WriteByte('\n')
	return b.String()
}

// shellWord quotes s for a shell where that is needed.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r == '/' || r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
