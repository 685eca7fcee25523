package appliance

import (
	"fmt"
	"io"
	"os"
	"os/exec"
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
  %[3]s wipe --plan NAME      # what would be wiped on one of them
  %[3]s accept NAME      # accept it: then it is wiped, and can be given to a cluster

`, s.KubeconfigPath(), shellWord(s.KubeconfigPath()), ownCommand())
	if s.DHCP == DHCPOff {
		text += adviseDHCP(s)
	}
	_, err := io.WriteString(w, text)
	return err
}

// ownCommand is how a person calls this program: by its name where a shell finds it so, else by its path.
func ownCommand() string {
	const name = "sidero-appliance"
	if _, err := exec.LookPath(name); err == nil {
		return name
	}
	path, err := os.Executable()
	if err != nil {
		return name
	}
	return shellWord(path)
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
