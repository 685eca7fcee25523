package lab

import (
	"strings"
	"testing"
)

func TestParseLeases(t *testing.T) {
	const file = `1795380573 52:54:00:37:be:46 172.30.0.107 * 01:52:54:00:37:be:46
1795380580 52:54:00:9e:02:ca 172.30.0.60 talos-1 ff:00
duid 00:01:00:01:2f
1795380580 1 fd30::5 * 00:01
`
	leases, err := parseLeases(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if len(leases) != 2 || leases[0].MAC.String() != "52:54:00:37:be:46" || leases[0].Address.String() != "172.30.0.107" ||
		leases[0].Hostname != "" || leases[1].Hostname != "talos-1" {
		t.Errorf("got %+v", leases)
	}
	for _, bad := range []string{"1 2 3", "1 nomac 172.30.0.1 * *", "1 52:54:00:37:be:46 nowhere * *"} {
		if _, err := parseLeases(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
