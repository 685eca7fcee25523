package clusterctl_test

import (
	"strings"
	"testing"
)

const reason = "are parts of the appliance: they come with it and are upgraded with it. To upgrade them, install a newer sidero-appliance"

func TestGuard(t *testing.T) {
	a := start(t, t.TempDir(), "v1.0.0")

	for name, test := range map[string]func(*testing.T, appliance){
		"refuses":                   testRefused,
		"keeps what is installed":   testInstalled,
		"allows":                    testAllowed,
		"takes owners from entries": testNoOwners,
		"lets other providers be":   testOtherProviders,
		"refuses another of ours":   testAnother,
		"refuses certificates":      testCertificates,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, a)
			checkEntries(t, a.inventory(t), "v1.0.0")
		})
	}
}

// testInstalled is about what clusterctl takes for parts of the providers, by their labels.
func testInstalled(t *testing.T, a appliance) {
	const labels = `"labels":{"clusterctl.cluster.x-k8s.io":"","cluster.x-k8s.io/provider":"PROVIDER"}`

	definition := func(name, provider string) string {
		return `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"` + name + `s.example.com",` +
			strings.ReplaceAll(labels, "PROVIDER", provider) + `},"spec":{"group":"example.com","scope":"Cluster","names":{"plural":"` + name +
			`s","kind":"` + name + `"},"versions":[{"name":"v1","served":false,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`
	}
	hooks := func(kind, name, provider string) string {
		return `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"` + kind + `","metadata":{"name":"` + name + `",` +
			strings.ReplaceAll(labels, "PROVIDER", provider) + `}}`
	}

	for _, c := range []struct {
		manifest, kind, name string
		kept                 bool
	}{
		{definition("ours", "cluster-api"), "crd", "ourss.example.com", true},
		{definition("theirs", "infrastructure-docker"), "crd", "theirss.example.com", false},
		{hooks("ValidatingWebhookConfiguration", "ours", "cluster-api"), "validatingwebhookconfiguration", "ours", true},
		{hooks("MutatingWebhookConfiguration", "ours", "infrastructure-sidero"), "mutatingwebhookconfiguration", "ours", true},
		{hooks("ValidatingWebhookConfiguration", "theirs", "infrastructure-docker"), "validatingwebhookconfiguration", "theirs", false},
		{strings.ReplaceAll(hooks("ValidatingWebhookConfiguration", "capi-validating-webhook-configuration", "x"), "clusterctl.", "example."),
			"validatingwebhookconfiguration", "capi-validating-webhook-configuration", true}, // by its name alone
		{strings.ReplaceAll(hooks("MutatingWebhookConfiguration", "mine", "cluster-api"), "clusterctl.", "example."), "mutatingwebhookconfiguration", "mine", false},
	} {
		a.kubectl.With(c.manifest).Do(t, "apply", "-f", "-")

		out, err := a.kubectl.Try(t, "delete", c.kind, c.name, "--wait=false")
		if refused := err != nil && strings.Contains(out, reason); refused != c.kept || err != nil && !c.kept {
			t.Errorf("kubectl delete %s %s: %v %s", c.kind, c.name, err, out)
		}
	}

	out, err := a.kubectl.Try(t, "delete", "crd,validatingwebhookconfiguration", "-l", "cluster.x-k8s.io/provider=cluster-api", "--wait=false")
	if err == nil || strings.Count(out, reason) != 2 {
		t.Errorf("kubectl delete of all: %v %s", err, out)
	}
}

func testRefused(t *testing.T, a appliance) {
	for _, args := range []string{
		"delete provider -n sidero-system infrastructure-sidero",
		"delete provider -n sidero-system infrastructure-sidero --force --grace-period=0",
		"delete provider -n sidero-system --all",
		"delete provider -A --all",
		"delete --raw /apis/clusterctl.cluster.x-k8s.io/v1alpha3/namespaces/capi-system/providers",
		"patch provider -n sidero-system infrastructure-sidero --type=merge -p {\"version\":\"v0.7.0\"}",
		"patch provider -n sidero-system infrastructure-sidero --type=merge -p {\"version\":null}",
		"patch provider -n cabpt-system bootstrap-talos --type=merge -p {\"providerName\":\"kubeadm\"}",
		"patch provider -n cacppt-system control-plane-talos --type=merge -p {\"type\":\"AddonProvider\"}",
		"patch provider -n capi-system cluster-api --type=merge -p {\"watchedNamespace\":\"default\"}",
		"delete crd providers.clusterctl.cluster.x-k8s.io --wait=false",
		"delete namespace sidero-system --wait=false",
		"delete namespace capi-system --wait=false",
		"delete namespace cabpt-system --wait=false",
		"delete namespace cacppt-system --wait=false",
	} {
		out, err := a.kubectl.Try(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(out, "forbidden: ") || !strings.Contains(out, reason) {
			t.Errorf("kubectl %s: %v %s", args, err, out)
		}
	}
}

func testAllowed(t *testing.T, a appliance) {
	for _, args := range []string{
		"label provider -n sidero-system infrastructure-sidero team=metal",
		"annotate provider -n sidero-system infrastructure-sidero note=hello",
		"patch provider -n sidero-system infrastructure-sidero --type=merge -p {\"version\":\"v0.6.13\"}",
		"label namespace sidero-system team=metal",
		"label crd providers.clusterctl.cluster.x-k8s.io team=metal",
		"create namespace sidero-system-2",
		"delete namespace sidero-system-2 --wait=false",
	} {
		a.kubectl.Do(t, strings.Fields(args)...)
	}
}

func testNoOwners(t *testing.T, a appliance) {
	a.kubectl.Do(t, "patch", "provider", "-n", "sidero-system", "infrastructure-sidero", "--type=merge", "-p",
		`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"gone"}]}}`)

	if entry := a.inventory(t)["sidero-system/infrastructure-sidero"]; entry.OwnerReferences != nil {
		t.Errorf("it belongs to %v", entry.OwnerReferences)
	}
}

// provider is an entry of the inventory as a manifest.
func provider(namespace, name, kind, version string) string {
	return `{"apiVersion":"clusterctl.cluster.x-k8s.io/v1alpha3","kind":"Provider","metadata":{"namespace":"` + namespace + `","name":"` + name +
		`"},"providerName":"` + name + `","type":"` + kind + `","version":"` + version + `"}`
}

func testOtherProviders(t *testing.T, a appliance) {
	a.kubectl.With(provider("default", "docker", "InfrastructureProvider", "v1.14.2")).Do(t, "apply", "-f", "-")
	a.kubectl.With(provider("default", "docker", "InfrastructureProvider", "v1.14.3")).Do(t, "apply", "-f", "-")
	a.kubectl.With(provider("sidero-system", "sidero", "AddonProvider", "v0.1.0")).Do(t, "apply", "-f", "-") // only the name is the same

	if got := a.inventory(t); got["default/docker"].Version != "v1.14.3" || got["sidero-system/sidero"].Version != "v0.1.0" {
		t.Errorf("the inventory is %+v", got)
	}

	a.kubectl.Do(t, "delete", "provider", "-n", "default", "docker")
	a.kubectl.Do(t, "delete", "provider", "-n", "sidero-system", "sidero")
}

func testAnother(t *testing.T, a appliance) {
	for _, c := range []struct{ manifest, says string }{
		{provider("default", "sidero", "InfrastructureProvider", "v0.6.13"), "infrastructure-sidero is installed already, in namespace sidero-system. "},
		{provider("sidero-system", "talos", "BootstrapProvider", "v0.6.12"), "bootstrap-talos is installed already, in namespace cabpt-system. "},
		{provider("default", "cluster-api", "CoreProvider", "v1.15.0"), "cluster-api is installed already, in namespace capi-system. "},
	} {
		for _, args := range []string{"create -f -", "apply --server-side -f -", "apply --dry-run=server -f -"} {
			out, err := a.kubectl.With(c.manifest).Try(t, strings.Fields(args)...)
			if err == nil || !strings.Contains(out, "forbidden: "+c.says) || !strings.Contains(out, reason) {
				t.Errorf("kubectl %s of %s: %v %s", args, c.manifest, err, out)
			}
		}
	}
}

// testCertificates applies objects as the manifests of providers have them.
func testCertificates(t *testing.T, a appliance) {
	for _, manifest := range []string{
		`{"apiVersion":"cert-manager.io/v1","kind":"Issuer","metadata":{"name":"capi-selfsigned-issuer","namespace":"default"},"spec":{"selfSigned":{}}}`,
		`{"apiVersion":"cert-manager.io/v1","kind":"Certificate","metadata":{"name":"capi-serving-cert","namespace":"default"},"spec":{"secretName":"s"}}`,
	} {
		out, err := a.kubectl.With(manifest).Try(t, "apply", "-f", "-")
		if err == nil || !strings.Contains(out, " is invalid: spec: Forbidden: no cert-manager runs in the appliance, so ") {
			t.Errorf("kubectl apply of %s: %v %s", manifest, err, out)
		}
	}
}
