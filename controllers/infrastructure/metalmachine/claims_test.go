package metalmachine

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// TestClaims: a server is claimed for one machine, until that looks elsewhere, gives up, or another one insists.
func TestClaims(t *testing.T) {
	var c claims

	try := func(machine string, server string, want bool) {
		t.Helper()

		if got := c.try(types.UID(machine), server); got != want {
			t.Errorf("%s claims %s: %v, want %v", machine, server, got, want)
		}
	}
	has := func(machine, want string) {
		t.Helper()

		if got := c.of(types.UID(machine)); got != want {
			t.Errorf("%s has claimed %q, want %q", machine, got, want)
		}
	}

	c.drop("a")
	has("a", "")
	try("a", "one", true)
	try("a", "one", true)
	try("b", "one", false)
	has("b", "")
	try("a", "two", true)
	try("b", "one", true)
	has("a", "two")

	c.claim("b", "two")
	has("b", "two")
	try("a", "two", false)
	c.drop("a") // what it claimed once is b's
	try("a", "two", false)
	c.drop("b")
	try("a", "two", true)
}
