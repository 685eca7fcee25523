package apiserver_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"

	"github.com/sidero-appliance/sidero-appliance/apiserver/openapi"
)

// testOpenAPI asks for the document of version 2, which older clients use, as they do: in JSON and in protobuf, before and
// after a kind is defined; and for those of version 3.
func testOpenAPI(t *testing.T, a api) {
	client, err := discovery.NewDiscoveryClientForConfig(a.Admin)
	must(t, err)

	document, err := client.OpenAPISchema() //nolint:staticcheck // what older clients use
	must(t, err)

	for _, name := range []string{"dev.sidero.metal.v1alpha1.Server", "dev.sidero.metal.v1alpha2.Server", "io.k8s.api.core.v1.Secret"} {
		if !defines(document, name) {
			t.Errorf("%s is not described", name)
		}
	}

	const kind = "com.example.described.v1.Described"
	if defines(document, kind) {
		t.Errorf("%s is described before it is defined", kind)
	}

	a.kubectl.With(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: describeds.described.example.com}
spec:
  group: described.example.com
  names: {kind: Described, listKind: DescribedList, plural: describeds, singular: described}
  scope: Cluster
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}]
`).Do(t, "apply", "-f", "-")

	defer a.deleteDefinition(t, "describeds.described.example.com")

	a.kubectl.Do(t, "wait", "crd", "describeds.described.example.com", "--for=condition=Established", "--timeout=10s")

	document, err = client.OpenAPISchema() //nolint:staticcheck // what older clients use
	must(t, err)

	if !defines(document, kind) {
		t.Errorf("%s is not described", kind)
	}

	var swagger struct {
		Swagger string
		Paths   map[string]any
	}

	must(t, json.Unmarshal([]byte(a.kubectl.Do(t, "get", "--raw", openapi.V2Path)), &swagger))

	for _, path := range []string{
		"/apis/metal.sidero.dev/v1alpha2/servers/{name}/status", "/api/v1/namespaces/{namespace}/secrets",
		"/apis/controlplane.cluster.x-k8s.io/v1alpha3/namespaces/{namespace}/taloscontrolplanes/{name}/scale",
		"/apis/described.example.com/v1/describeds", "/apis/apiregistration.k8s.io/v1/apiservices",
	} {
		if swagger.Paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}

	testDocuments(t, client)

	for _, group := range []string{"apis/metal.sidero.dev/v1alpha1", "apis/described.example.com/v1", "apis/apiextensions.k8s.io/v1"} {
		listed := func(context.Context) (bool, error) { // soon
			return strings.Contains(a.kubectl.Do(t, "get", "--raw", "/openapi/v3"), `"`+group+`"`), nil
		}
		if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, happensWithin, true, listed); err != nil {
			t.Errorf("%s has no document of version 3: %v", group, err)
		}
	}
}

func defines(document *openapi_v2.Document, name string) bool {
	for _, definition := range document.GetDefinitions().GetAdditionalProperties() {
		if definition.GetName() == name {
			return true
		}
	}

	return false
}

// testDocuments reads each document of version 3 in both encodings.
func testDocuments(t *testing.T, client discovery.DiscoveryInterface) {
	t.Helper()

	paths, err := client.OpenAPIV3().Paths()
	must(t, err)

	if len(paths) < 20 {
		t.Errorf("there are only %d documents", len(paths))
	}

	for name, document := range paths {
		for _, encoding := range []string{"application/json", "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"} {
			if text, err := document.Schema(encoding); err != nil || len(text) < 100 {
				t.Errorf("%s as %s: %d bytes, %v", name, encoding, len(text), err)
			}
		}
	}
}
