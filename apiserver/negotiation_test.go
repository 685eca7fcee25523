package apiserver_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// testMetadataClient deletes as the garbage collector and the namespace controller do. They ask for protobuf first; the
// answer holds the objects, if something keeps them from going at once.
func testMetadataClient(t *testing.T, a api) {
	held := server("metadata-client")
	held.Finalizers = []string{"example.com/test"}
	a.create(t, held)
	a.kubectl.With(`{"apiVersion":"infrastructure.cluster.x-k8s.io/v1alpha3","kind":"MetalCluster","metadata":{"name":"metadata-client","namespace":"default"}}`).
		Do(t, "apply", "-f", "-")

	client, err := metadata.NewForConfig(metadata.ConfigFor(a.Admin))
	must(t, err)

	servers := client.Resource(v1alpha2.GroupVersion.WithResource("servers"))
	must(t, servers.Delete(t.Context(), held.Name, metav1.DeleteOptions{}))

	clusters := client.Resource(v1alpha3.GroupVersion.WithResource("metalclusters")).Namespace("default")
	must(t, clusters.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=metadata-client"}))

	if _, err := servers.Get(t.Context(), held.Name, metav1.GetOptions{}); err != nil {
		t.Errorf("get metadata: %v", err)
	}

	if list, err := clusters.List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 0 {
		t.Errorf("list metadata: %v %v", list, err)
	}

	a.reload(t, held)
	held.Finalizers = nil
	must(t, a.client.Update(t.Context(), held))
}
