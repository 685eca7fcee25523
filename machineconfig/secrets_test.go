package machineconfig

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"go.yaml.in/yaml/v4"
)

// TestSecrets keeps a cluster's secrets in the shape that upstream writes and reads.
func TestSecrets(t *testing.T) {
	made := testSecrets(t, "v1.5")

	data, err := made.Data()
	if err != nil {
		t.Fatal(err)
	}

	var shape map[string]map[string]any
	if err := yaml.Unmarshal(data["bundle"], &shape); err != nil || len(data) != 1 {
		t.Fatalf("%d keys: %v", len(data), err)
	}

	if etcd, _ := shape["certs"]["etcd"].(map[string]any); etcd["crt"] != base64.StdEncoding.EncodeToString(made.bundle.Certs.Etcd.Crt) ||
		shape["secrets"]["bootstraptoken"] != made.bundle.Secrets.BootstrapToken ||
		shape["trustdinfo"]["token"] != made.bundle.TrustdInfo.Token ||
		shape["cluster"]["id"] != made.bundle.Cluster.ID {
		t.Errorf("upstream would not find its fields among %v", maps.Keys(shape))
	}

	read, err := ReadSecrets(data)
	if err != nil {
		t.Fatal(err)
	}

	if !bytes.Equal(generated(t, made, "v1.9"), generated(t, read, "v1.9")) {
		t.Error("what was read makes another configuration")
	}
}

func generated(t *testing.T, s *Secrets, version string) []byte {
	t.Helper()

	text, err := Generate(testNode("controlplane", version), s)
	if err != nil {
		t.Fatal(err)
	}

	if err := Validate(text); err != nil {
		t.Error(err)
	}

	return text
}

// legacy is what providers before version 0.6 wrote.
func legacy(t *testing.T, b *secrets.Bundle) map[string][]byte {
	t.Helper()

	data := map[string][]byte{}

	for key, part := range map[string]any{"certs": b.Certs, "kubeSecrets": b.Secrets, "trustdInfo": b.TrustdInfo} {
		text, err := yaml.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}

		data[key] = text
	}

	data["certs"] = append(data["certs"], "admin: {crt: Yg==, key: Yg==}\n"...)

	return data
}

// TestLegacySecrets reads what old providers wrote, and makes a configuration without the discovery that those clusters lack.
func TestLegacySecrets(t *testing.T) {
	made := testSecrets(t, "v1.1")

	read, err := ReadSecrets(legacy(t, made.bundle))
	if err != nil {
		t.Fatal(err)
	}

	text := generated(t, read, "v1.3")
	if certificate, _ := FromConfiguration(text).KubernetesCA(); !bytes.Equal(certificate, made.bundle.Certs.K8s.Crt) {
		t.Error("the configuration has another certificate authority")
	}
}

// TestSecretsRefused says what a Secret lacks, and not what is in it.
func TestSecretsRefused(t *testing.T) {
	made := testSecrets(t, "v1.5")
	whole := legacy(t, made.bundle)

	for _, key := range []string{"certs", "kubeSecrets", "trustdInfo"} {
		data := maps.Clone(whole)
		delete(data, key)

		if _, err := ReadSecrets(data); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("without %s: %v", key, err)
		}
	}

	for text, want := range map[string]string{
		"":                             "no bundle",
		"hunter2":                      "bundle",
		"certs: hunter2":               "line 1",
		"cluster: {id: a}":             "is missing",
		"[hunter2":                     "bundle",
		"certs: {os: {crt: hunter2!}}": "bundle",
	} {
		_, err := ReadSecrets(map[string][]byte{"bundle": []byte(text)})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// TestClientConfig makes a certificate that the nodes trust, and renews it before it ends and when the nodes change.
func TestClientConfig(t *testing.T) {
	s, client := testSecrets(t, "v1.5"), Client{Cluster: "lab", Endpoints: []string{"10.0.0.1", "10.0.0.2"}}

	text, err := s.ClientConfig(client, now)
	if err != nil {
		t.Fatal(err)
	}

	var read struct {
		Contexts map[string]struct{ CA, Crt string }
	}
	if err := yaml.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}

	roots := x509.NewCertPool()
	ca, _ := base64.StdEncoding.DecodeString(read.Contexts["lab"].CA)
	roots.AppendCertsFromPEM(ca)

	certificate := parse(read.Contexts["lab"].Crt)
	for _, late := range []time.Duration{0, 50 * time.Minute, -time.Hour} { // the node's clock
		if _, err := certificate.Verify(x509.VerifyOptions{
			Roots: roots, CurrentTime: now.Add(-late), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}); err != nil {
			t.Errorf("at a node that is %s late: %v", late, err)
		}
	}

	if got := certificate.Subject.Organization; len(got) != 1 || got[0] != "os:admin" {
		t.Errorf("roles %v", got)
	}

	if block, _ := pem.Decode(ca); block == nil {
		t.Error("no certificate authority")
	}

	due := Renewal(text, client, now)
	if left := certificate.NotAfter.Sub(due); left < 120*24*time.Hour || left > 123*24*time.Hour {
		t.Errorf("is renewed %s before it ends", left)
	}

	for what, renewal := range map[string]time.Time{
		"third of its life left": Renewal(text, client, due),
		"other endpoints":        Renewal(text, Client{Cluster: "lab", Endpoints: []string{"10.0.0.1"}}, now),
		"other cluster":          Renewal(text, Client{Cluster: "other", Endpoints: client.Endpoints}, now),
		"no text":                Renewal([]byte("[no"), client, now),
	} {
		if !renewal.IsZero() {
			t.Errorf("%s: is to be renewed at %s only", what, renewal)
		}
	}
}

// TestFromConfiguration finds no secrets in what people may give as a configuration by mistake.
func TestFromConfiguration(t *testing.T) {
	for _, text := range []string{
		"", "[", "a: b", "version: v1alpha1", "version: v1alpha1\nmachine: {}", "version: v1alpha1\ncluster: {}",
		"version: v1alpha1\nmachine: {type: controlplane}\ncluster: {}", "version: v1alpha1\nmachine: {type: worker, token: a}\ncluster: {token: b}",
		"apiVersion: v1alpha1\nkind: KmsgLogConfig\nname: x\nurl: tcp://10.0.0.1:4001",
	} {
		if FromConfiguration([]byte(text)) != nil {
			t.Errorf("%q has secrets", text)
		}
	}
}
