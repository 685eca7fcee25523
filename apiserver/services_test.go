package apiserver_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
)

const (
	providers = "provider-system" // namespace of the Services that webhooks are to be found by
	denied    = "the provider says no"
)

// TestWebhookServices configures webhooks of Services, as a provider's manifests do, of which the appliance's configuration
// tells about some where they run.
func TestWebhookServices(t *testing.T) {
	// Both are of one authority, and at one address.
	authority, err := pki.Open(t.TempDir())
	must(t, err)
	address := runWebhook(t, authority.ServiceCertificate("mapped."+providers+".svc", "bundled."+providers+".svc", "untrusted."+providers+".svc"))

	a := api{Plane: apitest.Start(t, func(c *apiserver.Config) {
		c.WebhookServices = []apiserver.WebhookService{
			{Namespace: providers, Name: "mapped", Port: 8443, Address: address, CA: authority.PEM()},
			{Namespace: providers, Name: "bundled", Port: 443, Address: address},
			{Namespace: providers, Name: "untrusted", Port: 443, Address: address, CA: c.Authority.PEM()},
			{Namespace: providers, Name: "gone", Port: 443, Address: "127.0.0.1:1", CA: authority.PEM()},
		}
	})}
	a.client, err = client.NewWithWatch(a.Admin, client.Options{})
	must(t, err)
	a.kubectl = a.Kubectl(t)

	for _, c := range []struct {
		name, port, bundle string
		wants              []string
	}{
		{"mapped", "8443", "", []string{denied}},
		{"mapped", "443", "", []string{"service provider-system/mapped:443: no Services run here", "port: 443"}},
		{"bundled", "443", string(authority.PEM()), []string{denied}},
		{"bundled", "443", "", []string{"certificate signed by unknown authority"}},
		{"untrusted", "443", "", []string{"x509: certificate signed by unknown authority"}},
		{"gone", "443", "", []string{"connection refused"}},
		{"unknown", "443", "", []string{
			"service provider-system/unknown:443: no Services run here", "run the provider that has it as a process of its own",
			"webhookServices: [{namespace: provider-system, name: unknown, port: 443, address: \"HOST:PORT\", caFile: ",
		}},
	} {
		a.configureWebhook(t, c.name, c.port, c.bundle)

		eventually(t, c.name+" is asked", func(ctx context.Context) (bool, error) {
			err = a.client.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
				Namespace: metav1.NamespaceDefault, Name: "asked", Labels: map[string]string{"asks": c.name + c.port},
			}}, client.DryRunAll)

			return err != nil, nil
		})

		for _, want := range c.wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s:%s: %v, want it to hold %q", c.name, c.port, err, want)
			}
		}

		a.kubectl.Do(t, "delete", "validatingwebhookconfiguration", c.name)
	}
}

// TestConversionServices defines a kind whose versions are converted by a Service that is not told where it runs.
func TestConversionServices(t *testing.T) {
	a := newAPI(t)
	definition, _ := widgets("conversion.example.com", "v1")
	definition = strings.Replace(definition, "  versions:\n", `  conversion:
    strategy: Webhook
    webhook:
      conversionReviewVersions: [v1]
      clientConfig: {service: {namespace: provider-system, name: converter, path: /convert}}
  versions:
  - {name: v2, served: true, storage: false, schema: {openAPIV3Schema: {type: object}}}
`, 1)

	a.kubectl.With(definition).Do(t, "apply", "-f", "-")
	a.kubectl.Do(t, "wait", "crd", "widgets.conversion.example.com", "--for=condition=Established", "--timeout=30s")

	object := "{apiVersion: conversion.example.com/v2, kind: Widget, metadata: {name: a, namespace: default}}"

	eventually(t, "the kind is served", func(context.Context) (bool, error) {
		out, err := a.kubectl.With(object).Try(t, "apply", "--server-side", "-f", "-")

		return err != nil && strings.Contains(out, "service provider-system/converter:443: no Services run here"), nil
	})
}

// configureWebhook has a Service asked about ConfigMaps with its name and port in a label.
func (a api) configureWebhook(t *testing.T, service, port, bundle string) {
	t.Helper()

	encoded, err := json.Marshal([]byte(bundle))
	must(t, err)

	a.kubectl.With(strings.NewReplacer("SERVICE", service, "PORT", port, "BUNDLE", string(encoded)).Replace(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: SERVICE}
webhooks:
- name: configmaps.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig:
    caBundle: BUNDLE
    service: {namespace: provider-system, name: SERVICE, port: PORT, path: /validate}
  objectSelector: {matchLabels: {asks: SERVICEPORT}}
  rules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
`)).Do(t, "apply", "-f", "-")
}

// runWebhook runs a webhook that denies everything, and returns its host and port.
func runWebhook(t *testing.T, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) string {
	t.Helper()

	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview

		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &review)
		}

		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)

			return
		}

		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Result: &metav1.Status{Message: denied}}
		_ = json.NewEncoder(w).Encode(review) // the test sees what the client makes of it
	}))
	server.TLS = &tls.Config{GetCertificate: certificate} //nolint:gosec // of a test
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)

	return server.Listener.Addr().String()
}
