package apiserver_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/descriptor"
	"github.com/sidero-appliance/sidero-appliance/apiserver/pki"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

// TestDescriptors does to the descriptors of the native kinds what people, tools and controllers may do. Whatever it is,
// the descriptors stay, and the native objects as well.
func TestDescriptors(t *testing.T) {
	a := newAPI(t)
	w := newWitness(t, a)

	for name, test := range map[string]func(*testing.T, api){
		"are established and labelled":      testDescriptorsListed,
		"are not deleted":                   testDescriptorsNotDeleted,
		"are not deleted with an owner":     testDescriptorsHaveNoOwner,
		"keep their spec and labels":        testDescriptorsKeep,
		"take other labels and annotations": testDescriptorsTakeLabels,
		"take upstream's manifests":         testDescriptorsTakeUpstream,
		"let no other kind share a version": testSharedVersionRefused,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, a)
			w.check(t, a)
		})
	}
}

// witness is one object of each native kind, as it was created.
type witness []client.Object

// specs are the least that an object of a kind must say, where that is anything.
func specs() map[string]map[string]any {
	reference := func(kind string) map[string]any { return map[string]any{"kind": kind, "name": "witness"} }

	return map[string]map[string]any{
		"Server":              {"hostname": "kept", "accepted": false},
		"ServerBinding":       {"metalMachineRef": reference("MetalMachine")},
		"TalosConfig":         {"generateType": "worker"},
		"TalosConfigTemplate": {"template": map[string]any{"spec": map[string]any{"generateType": "worker"}}},
		"TalosControlPlane": {
			"version": "v1.34.0", "infrastructureTemplate": reference("MetalMachineTemplate"),
			"controlPlaneConfig": map[string]any{"controlplane": map[string]any{"generateType": "controlplane"}},
		},
		"TalosControlPlaneTemplate": {"template": map[string]any{"spec": map[string]any{
			"controlPlaneConfig": map[string]any{"controlplane": map[string]any{"generateType": "controlplane"}},
		}}},
	}
}

func newWitness(t *testing.T, a api) witness {
	t.Helper()

	var w witness

	for _, group := range natives.Groups() {
		for kind := range group.Kinds {
			o := &unstructured.Unstructured{Object: map[string]any{}}
			o.SetGroupVersionKind(group.Hub.WithKind(kind))
			o.SetName("witness")

			if group.Kinds[kind].Names().Namespaced {
				o.SetNamespace(metav1.NamespaceDefault)
			}

			if spec := specs()[kind]; spec != nil {
				o.Object["spec"] = spec
			}

			w = append(w, o)
		}
	}

	a.create(t, w...)

	return w
}

// check asks for the objects in every way: they must be what they were.
func (w witness) check(t *testing.T, a api) {
	t.Helper()

	for _, want := range w {
		got := want.DeepCopyObject().(client.Object)
		a.reload(t, got)

		if !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("was %+v, is %+v", want, got)
		}
	}

	apis := a.kubectl.Do(t, "get", "--raw", "/apis")

	for _, group := range natives.Groups() {
		for _, version := range group.Served() {
			if out := a.kubectl.Do(t, "get", "apiservice", version.Version+"."+version.Group, "--no-headers"); !strings.Contains(out, "Local") {
				t.Errorf("get apiservice: %s", out)
			}

			if !strings.Contains(apis, `"`+version.String()+`"`) {
				t.Errorf("%s is not in /apis: %s", version, apis)
			}
		}
	}

	for _, d := range descriptors() {
		if out := a.kubectl.Do(t, "get", d.Name, "witness", "--no-headers"); !strings.HasPrefix(out, "witness") {
			t.Errorf("get %s: %s", d.Name, out)
		}

		if out := a.kubectl.Do(t, "explain", d.Spec.Names.Plural+".spec"); !strings.Contains(out, "VERSION:    "+d.Spec.Versions[0].Name) {
			t.Errorf("explain %s: %s", d.Name, out)
		}

		stored := a.stored(t, d.Name)
		if !descriptor.Holds(stored, &d) || stored.DeletionTimestamp != nil {
			t.Errorf("%s is %v %v %+v", d.Name, stored.DeletionTimestamp, stored.Labels, stored.Spec)
		}
	}
}

func descriptors() []apiextensionsv1.CustomResourceDefinition {
	return descriptor.All(natives.Groups())
}

func (a api) stored(t *testing.T, name string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()

	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}}
	a.reload(t, crd)

	return crd
}

func testDescriptorsListed(t *testing.T, a api) {
	for _, d := range descriptors() {
		a.kubectl.Do(t, "wait", "crd", d.Name, "--for=condition=Established", "--timeout=10s")
	}

	for _, group := range natives.Groups() {
		for name, value := range group.Labels {
			listed := a.kubectl.Do(t, "get", "crd", "--no-headers", "-l", name+"="+value)

			for _, d := range descriptor.All([]registry.Group{group}) {
				if !strings.Contains(listed, d.Name+" ") {
					t.Errorf("kubectl get crd -l %s=%s does not list %s: %s", name, value, d.Name, listed)
				}
			}
		}
	}

	want := []string{"environments.metal.sidero.dev", "serverclasses.metal.sidero.dev", "servers.metal.sidero.dev"}

	var moved []string
	for line := range strings.Lines(a.kubectl.Do(t, "get", "crd", "--no-headers", "-l", "clusterctl.cluster.x-k8s.io/move=")) {
		moved = append(moved, strings.Fields(line)[0])
	}

	if !slices.Equal(moved, want) {
		t.Errorf("clusterctl moves %v without a Cluster, want %v", moved, want)
	}
}

// testDescriptorsNotDeleted tries as an administrator and as the appliance itself.
func testDescriptorsNotDeleted(t *testing.T, a api) {
	const reason = "built into the appliance"

	refused := func(what, said string, err error) {
		t.Helper()

		if err == nil || !strings.Contains(said, reason) {
			t.Errorf("%s: %v %s", what, err, said)
		}
	}

	for _, d := range descriptors() {
		for _, args := range []string{
			"delete crd " + d.Name,
			"delete crd " + d.Name + " --force --grace-period=0",
			"delete crd " + d.Name + " --cascade=orphan --wait=false",
			"delete crd " + d.Name + " --cascade=foreground --wait=false",
			"delete crd -l clusterctl.cluster.x-k8s.io= --field-selector metadata.name=" + d.Name,
			"delete --raw /apis/apiextensions.k8s.io/v1/customresourcedefinitions/" + d.Name,
			"delete --raw /apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldSelector=metadata.name=" + d.Name,
		} {
			out, err := a.kubectl.Try(t, strings.Fields(args)...)
			refused("kubectl "+args, out, err)
		}
	}

	owner, err := client.New(a.Client(t, pki.Owner), client.Options{Scheme: a.client.Scheme()})
	must(t, err)

	err = owner.DeleteAllOf(t.Context(), &apiextensionsv1.CustomResourceDefinition{}, client.MatchingLabels{"app": "sidero"}, client.GracePeriodSeconds(0))
	refused("delete all as the appliance itself", fmt.Sprint(err), err)

	if !apierrors.IsForbidden(err) {
		t.Errorf("the reason is %q, want Forbidden", apierrors.ReasonForError(err))
	}
}

// testDescriptorsHaveNoOwner: the garbage collector deletes what belongs to an owner that is gone.
func testDescriptorsHaveNoOwner(t *testing.T, a api) {
	for _, d := range descriptors() {
		crd := a.stored(t, d.Name)
		crd.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "gone", UID: "gone"}}
		must(t, a.client.Update(t.Context(), crd))

		if stored := a.stored(t, d.Name); stored.OwnerReferences != nil {
			t.Errorf("%s belongs to %v", d.Name, stored.OwnerReferences)
		}
	}
}

func testDescriptorsKeep(t *testing.T, a api) {
	for _, d := range descriptors() {
		before := a.stored(t, d.Name)

		for _, patch := range []client.Patch{
			client.RawPatch(types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/versions/0/served","value":true}]`)),
			client.RawPatch(types.JSONPatchType, []byte(`[{"op":"replace","path":"/spec/versions/0/name","value":"v7"}]`)),
			client.RawPatch(types.MergePatchType, []byte(`{"spec":{"versions":[]}}`)),
			client.RawPatch(types.MergePatchType, []byte(`{"spec":{"names":{"kind":"Pet","shortNames":["pet"]}}}`)),
			client.RawPatch(types.MergePatchType, []byte(`{"spec":{"conversion":{"strategy":"Webhook","webhook":{"clientConfig":{"url":"https://127.0.0.1:1/"},"conversionReviewVersions":["v1"]}}}}`)),
			client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":null}}`)),
			client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"cluster.x-k8s.io/v1beta1":"v9","cluster.x-k8s.io/v1beta2":null}}}`)),
			client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"cluster.x-k8s.io/v1beta1":"v1alpha3","cluster.x-k8s.io/v1gamma":"v9"}}}`)),
		} {
			must(t, a.client.Patch(t.Context(), a.stored(t, d.Name), patch))

			if stored := a.stored(t, d.Name); stored.Generation != before.Generation || !descriptor.Holds(stored, &d) {
				data, err := patch.Data(nil)
				t.Errorf("%s (%v) changed %s: %v %+v", data, err, d.Name, stored.Labels, stored.Spec)
			}
		}
	}
}

func testDescriptorsTakeLabels(t *testing.T, a api) {
	for _, d := range descriptors() {
		out := a.kubectl.Do(t, "label", "crd", d.Name, "example.com/mine=yes")
		out += a.kubectl.Do(t, "annotate", "crd", d.Name, "example.com/mine=yes")

		if strings.Contains(out, "Warning") {
			t.Errorf("kubectl: %s", out)
		}

		stored := a.stored(t, d.Name)
		if stored.Labels["example.com/mine"] != "yes" || stored.Annotations["example.com/mine"] != "yes" {
			t.Errorf("%s has %v %v", d.Name, stored.Labels, stored.Annotations)
		}
	}
}

// testDescriptorsTakeUpstream applies definitions like those that upstream publishes for the same kinds: they serve them,
// and convert them by a webhook that does not exist here.
func testDescriptorsTakeUpstream(t *testing.T, a api) {
	manifests := a.kubectl.With(upstreamDefinitions())

	for _, args := range []string{"apply -f -", "apply -f -", "apply --server-side --force-conflicts -f -", "replace -f -"} {
		if out := manifests.Do(t, strings.Fields(args)...); !strings.Contains(out, "Warning: servers.metal.sidero.dev describes a kind that is built into the appliance") {
			t.Errorf("kubectl %s does not tell that the spec was not taken: %s", args, out)
		}

		useServer(t, a)
	}

	if out, err := manifests.Try(t, "diff", "-f", "-"); err != nil {
		t.Errorf("differs from what was applied: %s", out)
	}

	if got := a.stored(t, "servers.metal.sidero.dev").Labels["example.com/upstream"]; got != "yes" {
		t.Errorf("the label of the manifest is %q", got)
	}
}

// upstreamDefinitions are definitions of the native kinds by another hand.
func upstreamDefinitions() string {
	var all strings.Builder

	for _, d := range descriptors() {
		fmt.Fprintf(&all, `
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[1]s
  labels: {app: sidero, example.com/upstream: "yes"}
  annotations: {cert-manager.io/inject-ca-from: sidero-system/sidero-serving-cert}
spec:
  group: %[2]s
  names: {kind: %[3]s, listKind: %[3]sList, plural: %[4]s, singular: %[5]s}
  scope: %[6]s
  conversion:
    strategy: Webhook
    webhook:
      clientConfig: {service: {name: sidero-webhook-service, namespace: sidero-system, path: /convert}}
      conversionReviewVersions: [v1, v1beta1]
  versions:
`, d.Name, d.Spec.Group, d.Spec.Names.Kind, d.Spec.Names.Plural, d.Spec.Names.Singular, d.Spec.Scope)

		for i, version := range d.Spec.Versions {
			fmt.Fprintf(&all, `  - name: %s
    served: true
    storage: %t
    additionalPrinterColumns: [{name: Foreign, type: string, jsonPath: .spec.foreign}]
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {foreign: {type: string}}}}}}
    subresources: {status: {}}
`, version.Name, i == 0)
		}
	}

	return all.String()
}

// useServer goes through the life of a native object.
func useServer(t *testing.T, a api) {
	t.Helper()

	s := server("beside-upstream")
	s.Spec.Hostname = "native" // a foreign schema would prune it
	must(t, a.client.Create(t.Context(), s))
	a.reload(t, s)

	if s.Spec.Hostname != "native" {
		t.Errorf("stored %+v", s.Spec)
	}

	must(t, a.client.Delete(t.Context(), s))
}

func testSharedVersionRefused(t *testing.T, a api) {
	shared, _ := widgets("metal.sidero.dev", "v1alpha2")
	said := "spec.versions[0].name: Forbidden: metal.sidero.dev/v1alpha2 is built into the appliance"

	for _, args := range []string{"create -f -", "apply -f -", "apply --server-side -f -", "apply --dry-run=server -f -"} {
		if out, err := a.kubectl.With(shared).Try(t, strings.Fields(args)...); err == nil || !strings.Contains(out, said) {
			t.Errorf("kubectl %s: %v %s", args, err, out)
		}
	}

	// One that nobody serves disturbs nobody, until somebody wants to serve it.
	unserved := a.kubectl.With(strings.Replace(shared, "served: true", "served: false", 1))
	unserved.Do(t, "apply", "-f", "-")

	defer a.deleteDefinition(t, "widgets.metal.sidero.dev")

	for _, args := range []string{"replace -f -", "apply -f -"} {
		if out, err := a.kubectl.With(shared).Try(t, strings.Fields(args)...); err == nil || !strings.Contains(out, said) {
			t.Errorf("kubectl %s: %v %s", args, err, out)
		}
	}

	out, err := a.kubectl.Try(t, "patch", "crd", "widgets.metal.sidero.dev", "--type=json", "-p", `[{"op":"replace","path":"/spec/versions/0/served","value":true}]`)
	if err == nil || !strings.Contains(out, said) {
		t.Errorf("kubectl patch: %v %s", err, out)
	}
}

// deleteDefinition deletes a definition of custom resources, and shows it if it does not go.
func (a api) deleteDefinition(t *testing.T, name string) {
	t.Helper()

	if out, err := a.kubectl.Try(t, "delete", "crd", name); err != nil {
		left, _ := a.kubectl.Try(t, "get", "crd", name, "-o", "yaml", "--show-managed-fields") //nolint:errcheck // it may be gone
		t.Errorf("kubectl delete crd %s: %v\n%s\n%s", name, err, out, left)
	}
}

// TestDescriptorsReturn starts again, and once more, on data in which one descriptor is missing and another is of an older release. Both
// are made right, what a person added stays, and what is as it should be is not written again.
func TestDescriptorsReturn(t *testing.T) {
	const missing, old, right = "servers.metal.sidero.dev", "serverclasses.metal.sidero.dev", "environments.metal.sidero.dev"

	dir := t.TempDir()

	var before *apiextensionsv1.CustomResourceDefinition

	t.Run("first start", func(t *testing.T) {
		a := startAPI(t, dir)
		a.kubectl.Do(t, "wait", "crd", "--all", "--for=condition=Established", "--timeout=10s")
		a.kubectl.Do(t, "label", "crd", old, "example.com/mine=yes")
		must(t, a.client.Create(t.Context(), server("kept")))

		before = a.stored(t, right)

		db := a.database(t)
		changeKey(t, db, old, func(value []byte) []byte { return bytes.ReplaceAll(value, []byte("v1alpha3"), []byte("v1alpha0")) })

		_, err := db.Delete(t.Context(), definitionKey(missing))
		must(t, err)
	})

	again := func(t *testing.T) {
		a := startAPI(t, dir)

		for _, d := range descriptors() {
			if stored := a.stored(t, d.Name); !descriptor.Holds(stored, &d) {
				t.Errorf("%s is %v %+v", d.Name, stored.Labels, stored.Spec)
			}
		}

		if got := a.stored(t, old).Labels["example.com/mine"]; got != "yes" {
			t.Errorf("a person's label is %q", got)
		}

		if got := a.stored(t, right); got.UID != before.UID || got.ResourceVersion != before.ResourceVersion {
			t.Errorf("%s was written again", right)
		}

		a.reload(t, server("kept"))
	}

	t.Run("second start", again)
	t.Run("third start", again) // one that found the group's APIService gone would never be ready
}

// database is a client of the plane's etcd, past the API server and its guard.
func (a api) database(t *testing.T) *clientv3.Client {
	t.Helper()

	db, err := clientv3.New(clientv3.Config{Endpoints: a.Etcd.Endpoint().Servers, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { db.Close() })

	return db
}

func definitionKey(name string) string {
	return "/registry/apiextensions.k8s.io/customresourcedefinitions/" + name
}

func changeKey(t *testing.T, db *clientv3.Client, name string, change func([]byte) []byte) {
	t.Helper()

	found, err := db.Get(t.Context(), definitionKey(name))
	must(t, err)

	if len(found.Kvs) != 1 {
		t.Fatalf("%d values of %s in the database", len(found.Kvs), name)
	}

	changed := change(found.Kvs[0].Value)
	if bytes.Equal(changed, found.Kvs[0].Value) {
		t.Fatalf("nothing to change in %s", changed)
	}

	_, err = db.Put(t.Context(), definitionKey(name), string(changed))
	must(t, err)
}
