package clusterapi_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const infrastructure = "infrastructure.cluster.x-k8s.io"

// manifest defines a kind of a provider that keeps both contracts at one version, and the kind of its templates.
func manifest(kind, version string) string {
	return strings.NewReplacer("KIND", kind, "NAMES", strings.ToLower(kind)+"s", "NAME", strings.ToLower(kind), "VERSION", version).Replace(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: NAMES.infrastructure.cluster.x-k8s.io
  labels:
    cluster.x-k8s.io/v1beta1: v1alpha1_VERSION
    cluster.x-k8s.io/v1beta2: VERSION
spec:
  group: infrastructure.cluster.x-k8s.io
  names: {kind: KIND, listKind: KINDList, plural: NAMES, singular: NAME}
  scope: Namespaced
  versions:
  - name: VERSION
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`)
}

// define defines a kind and waits until it is served.
func (p plane) define(t *testing.T, kind, version string) {
	t.Helper()

	definition := &apiextensionsv1.CustomResourceDefinition{}
	must(t, yaml.Unmarshal([]byte(manifest(kind, version)), definition))
	must(t, p.client.Create(t.Context(), definition))

	eventually(t, "the kind is served", func(ctx context.Context) (bool, error) {
		err := p.client.Get(ctx, client.ObjectKeyFromObject(definition), definition)

		for _, c := range definition.Status.Conditions {
			if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
				return true, err
			}
		}

		return false, err
	})
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}
}

// cluster is one of the old version, whose infrastructure is of a kind.
func cluster(name, kind string) *clusterv1beta1.Cluster {
	return &clusterv1beta1.Cluster{ObjectMeta: meta(name), Spec: clusterv1beta1.ClusterSpec{
		InfrastructureRef: &corev1.ObjectReference{APIVersion: infrastructure + "/v1alpha7", Kind: kind, Name: name},
	}}
}

// deployment is one of the old version, for Machines of a version.
func deployment(name, version string) *clusterv1beta1.MachineDeployment {
	return &clusterv1beta1.MachineDeployment{ObjectMeta: meta(name), Spec: clusterv1beta1.MachineDeploymentSpec{
		ClusterName: "some",
		Template: clusterv1beta1.MachineTemplateSpec{Spec: clusterv1beta1.MachineSpec{
			ClusterName:       "some",
			Version:           &version,
			Bootstrap:         clusterv1beta1.Bootstrap{DataSecretName: new("some")},
			InfrastructureRef: corev1.ObjectReference{APIVersion: infrastructure + "/v1alpha7", Kind: "ExampleCluster", Name: name},
		}},
	}}
}

// object is one of Cluster API's core group in its newest version.
func object(t *testing.T, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()

	o := &unstructured.Unstructured{}
	must(t, yaml.Unmarshal([]byte("{apiVersion: cluster.x-k8s.io/v1beta2, kind: "+kind+
		", metadata: {namespace: default, name: "+name+"}, spec: "+spec+"}"), o))

	return o
}

// apply creates an object. It is applied because the API server holds up what is created right after its kind was defined.
func (p plane) apply(t *testing.T, kind, name, spec string) {
	t.Helper()
	must(t, p.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object(t, kind, name, spec)), client.FieldOwner("test")))
}
