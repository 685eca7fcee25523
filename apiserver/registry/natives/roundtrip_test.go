package natives_test

import (
	"encoding/json"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/diff"
	"sigs.k8s.io/randfill"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

const rounds = 500

// TestRoundTrips converts random objects of every kind from each version to each other one and back. Through an older
// version and back nothing of a stored object may be lost, nor anything that was said in the older version.
func TestRoundTrips(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)

	for _, group := range natives.Groups() {
		scheme := schemeOf(t, group)
		fill := filler(scheme, seed)

		for kind := range group.Kinds {
			for _, older := range group.Kinds[kind].Versions(group.Hub.GroupVersion)[1:] {
				hub, spoke := group.Hub.WithKind(kind), older.WithKind(kind)
				for from, through := range map[schema.GroupVersionKind]schema.GroupVersionKind{hub: spoke, spoke: hub} {
					t.Run(kind+"/"+from.Version+"-"+through.Version, func(t *testing.T) {
						for range rounds {
							roundTrip(t, scheme, fill, from, through)
						}
					})
				}
			}
		}
	}
}

func schemeOf(t *testing.T, group registry.Group) *runtime.Scheme {
	t.Helper()

	scheme := runtime.NewScheme()
	if err := group.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	return scheme
}

func filler(scheme *runtime.Scheme, seed int64) *randfill.Filler {
	own := func(serializer.CodecFactory) []any {
		return []any{
			func(j *apiextensionsv1.JSON, c randfill.Continue) {
				text, err := json.Marshal(c.String(0))
				if err != nil {
					panic(err)
				}

				j.Raw = text
			},
			func(s *v1alpha2.MetalClusterStatus, c randfill.Continue) { s.Ready = c.Bool() },
			func(m *metav1.ManagedFieldsEntry, _ randfill.Continue) { *m = metav1.ManagedFieldsEntry{} },
		}
	}

	return fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, own), rand.NewSource(seed), serializer.NewCodecFactory(scheme)).
		NumElements(0, 3).NilChance(0.4)
}

func roundTrip(t *testing.T, scheme *runtime.Scheme, fill *randfill.Filler, from, through schema.GroupVersionKind) {
	t.Helper()

	before, between, after := newObject(t, scheme, from), newObject(t, scheme, through), newObject(t, scheme, from)
	fill.Fill(before)
	before.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})

	given := before.DeepCopyObject()

	if err := scheme.Convert(before, between, nil); err != nil {
		t.Fatal(err)
	}

	if err := scheme.Convert(between, after, nil); err != nil {
		t.Fatal(err)
	}

	if !reflect.DeepEqual(before, given) {
		t.Fatalf("converting changed its input:\n%s", diff.Diff(given, before))
	}

	for _, o := range []runtime.Object{before, after} { // that status shows the spec
		if cluster, ok := o.(*v1alpha2.MetalCluster); ok {
			cluster.Status.APIEndpoints = nil
		}
	}

	if !apiequality.Semantic.DeepEqual(before, withoutNotes(after)) {
		t.Fatalf("lost or added:\n%s", diff.Diff(before, after))
	}
}

// withoutNotes is an object without the annotations in which conversion keeps what it needs.
func withoutNotes(o runtime.Object) runtime.Object {
	object := o.(metav1.Object) //nolint:errcheck,forcetypeassert // an API type
	annotations := object.GetAnnotations()

	for name := range annotations {
		if strings.HasPrefix(name, "conversion.sidero.dev/") || name == "cluster.x-k8s.io/conversion-data" {
			delete(annotations, name)
		}
	}

	return o
}

func newObject(t *testing.T, scheme *runtime.Scheme, kind schema.GroupVersionKind) runtime.Object {
	t.Helper()

	object, err := scheme.New(kind)
	if err != nil {
		t.Fatal(err)
	}

	return object
}
