package machineconfig

import (
	"fmt"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/machinery/config/configloader"
	"github.com/siderolabs/talos/pkg/machinery/config/encoder"
	"sigs.k8s.io/yaml"
)

// further are documents and fields with secrets, as people write them.
const further = `
machine:
  registries:
    config:
      ghcr.io: {auth: {username: joe, password: secret-1, auth: secret-2, identityToken: secret-3}, tls: {clientIdentity: {crt: Y3J0, key: c2VjcmV0LTQ=}}}
  network:
    interfaces:
    - interface: wg0
      wireguard: {privateKey: secret-5, peers: [{publicKey: pub}]}
    - interface: eth0
      vip: {ip: 10.0.0.9, hcloud: {apiToken: secret-7}, equinixMetal: {apiToken: secret-8}}
  systemDiskEncryption:
    state: {provider: luks2, keys: [{slot: 0, static: {passphrase: secret-9}}]}
  env: {http_proxy: 'http://joe:secret-10@proxy:3128'}
  files: [{path: /var/etc/x, content: secret-11, permissions: 0o600}]
  kubelet: {extraArgs: {bearer-token: secret-12}}
cluster:
  extraManifestHeaders: {X-Pass: secret-13}
  extraManifests: ['https://joe:secret-14@example.com/x?access_token=secret-15&v=1']
  inlineManifests: [{name: x, contents: secret-16}]
---
apiVersion: v1alpha1
kind: SideroLinkConfig
apiUrl: grpc://10.0.0.1:8081?jointoken=secret-17&v=2
uniqueToken: secret-18
---
apiVersion: v1alpha1
kind: WireguardConfig
name: wg1
privateKey: secret-25
peers: [{publicKey: pub, presharedKey: secret-6}]
---
apiVersion: v1alpha1
kind: ExtensionServiceConfig
name: tailscale
environment: [TS_AUTHKEY=secret-19]
configFiles: [{content: secret-20, mountPath: /x}]
---
apiVersion: v1alpha1
kind: FutureConfig
password: secret-21
nested: {deeply: [{apiKey: secret-22, certificate: "-----BEGIN EC PRIVATE KEY-----\nsecret-23"}], tokens: [secret-24, 26]}
disableTokens: true
`

func configurationWithSecrets(t *testing.T) []byte {
	t.Helper()

	generated, err := Generate(testNode("controlplane", "v1.9"), testSecrets(t, "v1.5"))
	if err != nil {
		t.Fatal(err)
	}

	main, rest, _ := strings.Cut(further, "---\n")

	patched, err := Patch(generated, Patches{Strategic: []string{main}})
	if err != nil {
		t.Fatal(err)
	}

	return append(append(patched, "---\n"...), rest...)
}

// TestRedact hides every secret, and nothing that tells what a machine is to do.
func TestRedact(t *testing.T) {
	whole := configurationWithSecrets(t)

	got, err := Redact(whole, func(string) string { return "(x)" })
	if err != nil {
		t.Fatal(err)
	}

	for i := range 25 {
		if secret := fmt.Sprintf("secret-%d", i+1); strings.Contains(string(got), secret) {
			t.Errorf("%s is shown", secret)
		}
	}

	for _, want := range []string{
		"disk: /dev/sda", "username: joe", "publicKey: pub", "crt: ", "disableTokens: true", "path: /var/etc/x", "https://[fd00::9]:6443", "ip: 10.0.0.9",
		"grpc://10.0.0.1:8081?jointoken=(x)&v=2", "https://(x)@example.com/x?access_token=(x)&v=1", "kind: FutureConfig", "name: tailscale",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}

	for _, hidden := range []string{"LS0tLS1CRUdJTiBF", "PRIVATE KEY"} {
		if strings.Contains(string(got), hidden) {
			t.Errorf("a private key is shown: %s", got)
		}
	}
}

// TestRedactHidesWhatTalosHides compares with Talos's machinery, for every value of a configuration.
func TestRedactHidesWhatTalosHides(t *testing.T) {
	whole, _, _ := strings.Cut(string(configurationWithSecrets(t)), "---\napiVersion: v1alpha1\nkind: FutureConfig")

	loaded, err := configloader.NewFromBytes([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}

	theirs, err := loaded.RedactSecrets("REDACTED").EncodeBytes(encoder.WithComments(encoder.CommentsDisabled))
	if err != nil {
		t.Fatal(err)
	}

	ours, err := Redact([]byte(whole), func(string) string { return "(x)" })
	if err != nil {
		t.Fatal(err)
	}

	hidden := 0

	for path, value := range leaves(t, theirs) {
		if !strings.Contains(value, "REDACTED") && value != "UkVEQUNURUQ=" {
			continue
		}

		hidden++

		if got := leaves(t, ours)[path]; !strings.Contains(got, "(x)") {
			t.Errorf("%s is shown", path)
		}
	}

	if hidden < 15 {
		t.Errorf("Talos hides %d values only", hidden)
	}
}

// leaves are the values of a configuration by their paths.
func leaves(t *testing.T, configuration []byte) map[string]string {
	t.Helper()

	all := map[string]string{}

	var walk func(path string, value any)

	walk = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, below := range value {
				walk(path+"."+key, below)
			}
		case []any:
			for i, below := range value {
				walk(fmt.Sprintf("%s[%d]", path, i), below)
			}
		default:
			all[path] = fmt.Sprint(value)
		}
	}

	for _, text := range split(configuration) {
		var document map[string]any
		if err := yaml.Unmarshal(text, &document); err != nil {
			t.Fatal(err)
		}

		walk(fmt.Sprint(document["kind"]), document)
	}

	return all
}

// TestCanonical: what means the same is written the same.
func TestCanonical(t *testing.T) {
	for _, text := range []string{
		"b: 1\na: {d: [x], c: \"z\"}\n---\nkind: K\n", "# hello\na:\n  c: z # there\n  d:\n  - x\nb: 1\n---\n---\n{\"kind\": \"K\"}",
	} {
		got, err := Canonical([]byte(text))
		if want := "a:\n  c: z\n  d:\n  - x\nb: 1\n---\nkind: K\n"; err != nil || string(got) != want {
			t.Errorf("%v: %s", err, got)
		}
	}

	if _, err := Canonical([]byte("a: [hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

// FuzzRedact: nothing panics, and what is redacted has nothing left to hide.
func FuzzRedact(f *testing.F) {
	for _, text := range []string{further, "a: [", "token: [1, {a: 2.5, b: null}]", "a: x://y@z?key=1&tokens=2#3", "? [a]\n: b", "key: {token: 7}"} {
		f.Add(text)
	}

	mark := func(string) string { return "(x)" }

	f.Fuzz(func(t *testing.T, text string) {
		redacted, err := Redact([]byte(text), mark)
		if err != nil {
			return
		}

		if again, err := Redact(redacted, mark); err != nil || string(again) != string(redacted) {
			t.Errorf("%v:\n%s\nis redacted again to\n%s", err, redacted, again)
		}
	})
}
