package descriptor_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/descriptor"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry"
	"github.com/sidero-appliance/sidero-appliance/apiserver/registry/natives"
)

// boats are a group unlike those that exist: of a namespaced kind with a short name.
func boats() registry.Group {
	version := schema.GroupVersion{Group: "sea.example.com", Version: "v2"}

	return registry.Group{
		Hub: registry.Version{GroupVersion: version},
		Kinds: map[string]registry.Definition{"Boat": registry.Kind[*v1alpha2.Server]{
			Resource: version.WithResource("boats").GroupResource(), Singular: "boat",
			Namespaced: true, ShortNames: []string{"bt"}, Categories: []string{"fleet"},
		}},
		Labels: map[string]string{"a": "b"},
	}
}

func TestAllDescribesKinds(t *testing.T) {
	all := descriptor.All([]registry.Group{boats()})
	if len(all) != 1 {
		t.Fatalf("%d descriptors of one kind", len(all))
	}

	got := all[0]
	names := apiextensionsv1.CustomResourceDefinitionNames{
		Kind: "Boat", ListKind: "BoatList", Plural: "boats", Singular: "boat", ShortNames: []string{"bt"}, Categories: []string{"fleet"},
	}

	if got.Name != "boats.sea.example.com" || got.Spec.Group != "sea.example.com" || got.Spec.Scope != apiextensionsv1.NamespaceScoped ||
		!reflect.DeepEqual(got.Spec.Names, names) || !maps.Equal(got.Labels, map[string]string{"a": "b"}) {
		t.Errorf("got %+v", got)
	}

	if v := got.Spec.Versions; len(v) != 1 || v[0].Name != "v2" || v[0].Served || !v[0].Storage {
		t.Errorf("versions %+v", got.Spec.Versions)
	}
}

// TestAllAreComplete: if the API server filled anything in, each start would write all descriptors again.
func TestAllAreComplete(t *testing.T) {
	for _, d := range descriptor.All(append(natives.Groups(), boats())) {
		want := d.DeepCopy()
		apiserver.Scheme.Default(&d)

		if !reflect.DeepEqual(d.Spec, want.Spec) {
			t.Errorf("%s is filled up to %+v", d.Name, d.Spec)
		}

		internal := &apiextensions.CustomResourceDefinition{}
		if err := apiserver.Scheme.Convert(&d, internal, nil); err != nil {
			t.Fatal(err)
		}

		if errs := validation.ValidateCustomResourceDefinition(t.Context(), internal); errs != nil {
			t.Errorf("%s: %v", d.Name, errs)
		}
	}
}

func TestHolds(t *testing.T) {
	d := descriptor.All([]registry.Group{boats()})[0]

	for name, c := range map[string]struct {
		change func(*apiextensionsv1.CustomResourceDefinition)
		want   bool
	}{
		"the same":         {func(*apiextensionsv1.CustomResourceDefinition) {}, true},
		"a further label":  {func(c *apiextensionsv1.CustomResourceDefinition) { c.Labels["c"] = "" }, true},
		"an annotation":    {func(c *apiextensionsv1.CustomResourceDefinition) { c.Annotations = map[string]string{"c": ""} }, true},
		"a status":         {func(c *apiextensionsv1.CustomResourceDefinition) { c.Status.StoredVersions = []string{"v1"} }, true},
		"a missing label":  {func(c *apiextensionsv1.CustomResourceDefinition) { delete(c.Labels, "a") }, false},
		"another value":    {func(c *apiextensionsv1.CustomResourceDefinition) { c.Labels["a"] = "c" }, false},
		"a served version": {func(c *apiextensionsv1.CustomResourceDefinition) { c.Spec.Versions[0].Served = true }, false},
	} {
		stored := d.DeepCopy()
		c.change(stored)

		if got := descriptor.Holds(stored, &d); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestPatchAppliesOnlyWhatIsDescribed: an applied status or timestamp would be owned by us.
func TestPatchAppliesOnlyWhatIsDescribed(t *testing.T) {
	d := descriptor.All([]registry.Group{boats()})[0]

	patch, err := descriptor.Patch(&d)
	if err != nil {
		t.Fatal(err)
	}

	var parts, metadata map[string]json.RawMessage
	if err := json.Unmarshal(patch, &parts); err != nil {
		t.Fatal(err)
	}

	if err := json.Unmarshal(parts["metadata"], &metadata); err != nil {
		t.Fatal(err)
	}

	if len(parts) != 4 || parts["apiVersion"] == nil || parts["kind"] == nil || parts["spec"] == nil || len(metadata) != 2 {
		t.Errorf("got %s", patch)
	}

	got := &apiextensionsv1.CustomResourceDefinition{}
	if err := json.Unmarshal(patch, got); err != nil || !reflect.DeepEqual(*got, d) {
		t.Errorf("%v: %+v, want %+v", err, got, d)
	}
}
