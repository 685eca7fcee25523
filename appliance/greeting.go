package appliance

import (
	"fmt"
	"io"
	"strings"
)

// greet tells a person what to type next.
func greet(w io.Writer, kubeconfig string) error {
	_, err := fmt.Fprintf(w, `
sidero-appliance is ready. The administrator's kubeconfig is %[1]s

Type this next:
  export KUBECONFIG=%[2]s
  kubectl get servers -w      # and switch machines on: they boot from the network and turn up here
  kubectl patch server UUID --type merge -p '{"spec":{"accepted":true}}'      # accept one of them

`, kubeconfig, shellWord(kubeconfig))
	return err
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
