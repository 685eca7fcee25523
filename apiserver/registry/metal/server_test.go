package metal_test

import (
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
)

// TestAcceptanceIsRemembered accepts servers and takes that back, in each way to write and with no controller that could see it.
func TestAcceptanceIsRemembered(t *testing.T) {
	kubectl := apitest.Start(t).Kubectl(t)

	for name, c := range map[string]struct {
		first, then string // how it is made, and changed
		remembered  bool
	}{
		"made":            {"accepted: true", "patch server made --type merge -p {\"spec\":{\"accepted\":false}}", true},
		"by-json-patch":   {"accepted: true", "patch server by-json-patch --type json -p [{\"op\":\"replace\",\"path\":\"/spec/accepted\",\"value\":false}]", true},
		"by-older":        {"accepted: true", "patch servers.v1alpha1.metal.sidero.dev by-older --type merge -p {\"spec\":{\"accepted\":false}}", true},
		"another-change":  {"accepted: true", "patch server another-change --type merge -p {\"spec\":{\"cordoned\":true}}", false},
		"accepted":        {"accepted: false", "patch server accepted --type merge -p {\"spec\":{\"accepted\":true}}", false},
		"never":           {"accepted: false", "patch server never --type merge -p {\"spec\":{\"cordoned\":true}}", false},
		"not-by-somebody": {"accepted: false", "patch server not-by-somebody --type merge -p {\"status\":{\"acceptedAt\":\"2026-01-01T00:00:00Z\"}}", false},
	} {
		kubectl.With("apiVersion: metal.sidero.dev/v1alpha2\nkind: Server\nmetadata: {name: "+name+"}\nspec: {"+c.first+"}\n").Do(t, "apply", "-f", "-")
		kubectl.Do(t, strings.Fields(c.then)...)

		if at := kubectl.Do(t, "get", "server", name, "-o", "jsonpath={.status.acceptedAt}"); (at != "") != c.remembered {
			t.Errorf("%s: acceptedAt is %q", name, at)
		}
	}

	const manifest = "apiVersion: metal.sidero.dev/v1alpha2\nkind: Server\nmetadata: {name: applied}\nspec: {accepted: true}\n"
	for _, text := range []string{manifest, strings.Replace(manifest, "true", "false", 1)} {
		kubectl.With(text).Do(t, "apply", "--server-side", "-f", "-")
	}

	at := kubectl.Do(t, "get", "server", "applied", "-o", "jsonpath={.status.acceptedAt}")
	kubectl.Do(t, "patch", "server", "applied", "--type=merge", "-p", `{"spec":{"accepted":true}}`)
	kubectl.Do(t, "patch", "server", "applied", "--type=merge", "-p", `{"spec":{"accepted":false}}`)

	if again := kubectl.Do(t, "get", "server", "applied", "-o", "jsonpath={.status.acceptedAt}"); at == "" || again != at {
		t.Errorf("applied: acceptedAt is %q, and then %q", at, again)
	}
}
