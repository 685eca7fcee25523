package appliance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLeaseHolder: two appliances on hosts of one name are two holders, and each is the same after a restart, also after one that
// came while its id was written.
func TestLeaseHolder(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	one, other := t.TempDir(), t.TempDir()
	holder := func(dir string) string {
		t.Helper()
		name, err := leaseHolder(dir)
		if err != nil || !strings.HasPrefix(name, "sidero-appliance_"+host+"_") {
			t.Fatalf("got %q, %v", name, err)
		}
		return name
	}
	first := holder(one)
	if holder(one) != first || holder(other) == first {
		t.Errorf("%s is %s after a restart, and the other one is %s", first, holder(one), holder(other))
	}
	if err := os.WriteFile(filepath.Join(one, holderFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if anew := holder(one); anew == first || anew != holder(one) {
		t.Errorf("got %s and %s", anew, holder(one))
	}
}
