package apiserver_test

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// applied is what a manager applies of a server: its spec.
func applied(name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": name}, "spec": spec}}
	o.SetGroupVersionKind(v1alpha2.GroupVersion.WithKind("Server"))

	return o
}

func (a api) apply(ctx context.Context, o *unstructured.Unstructured, owner string, options ...client.ApplyOption) error {
	return a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), append(options, client.FieldOwner(owner))...)
}

func testApplyConflict(t *testing.T, a api) {
	const machine, person = "machine", "person"

	s := server("conflict")
	a.deleteLater(t, s)

	must(t, a.apply(t.Context(), applied(s.Name, map[string]any{"hostname": "by-machine", "accepted": false, "cordoned": true}), machine))

	theirs := applied(s.Name, map[string]any{"hostname": "by-person"})

	err := a.apply(t.Context(), theirs, person)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), machine) || !strings.Contains(err.Error(), ".spec.hostname") {
		t.Fatalf("apply of another's field: %v", err)
	}

	must(t, a.apply(t.Context(), theirs, person, client.ForceOwnership))
	a.reload(t, s)

	if s.Spec.Hostname != "by-person" || !s.Spec.Cordoned {
		t.Errorf("after force: %+v", s.Spec)
	}

	before := s.ResourceVersion
	must(t, a.apply(t.Context(), theirs, person))
	a.reload(t, s)

	if s.ResourceVersion != before {
		t.Error("the same apply again changed the object")
	}

	must(t, a.apply(t.Context(), applied(s.Name, map[string]any{"accepted": false}), machine))
	a.reload(t, s)

	if s.Spec.Hostname != "by-person" || s.Spec.Cordoned {
		t.Errorf("after the machine gave up its fields: %+v", s.Spec)
	}
}

// testApplyNumbers: what does not fit is refused with its path, and never becomes another number.
func testApplyNumbers(t *testing.T, a api) {
	compute := func(count any) map[string]any {
		return map[string]any{"hardware": map[string]any{"compute": map[string]any{"processorCount": count}}}
	}

	for path, spec := range map[string]map[string]any{
		"spec.bmc.port":                                {"bmc": map[string]any{"endpoint": "10.0.0.1", "port": int64(4294967919)}},
		"spec.hardware.compute.processorCount":         compute(int64(-1)),
		"spec.hardware.compute.processorCount: Invali": compute(int64(4294967299)),
		"spec.hardware.storage.devices[0].size": {"hardware": map[string]any{"storage": map[string]any{
			"devices": []any{map[string]any{"size": int64(-5)}},
		}}},
		"spec.hardware.network.interfaces[0]": {"hardware": map[string]any{"network": map[string]any{"interfaces": []any{nil}}}},
	} {
		err := a.apply(t.Context(), applied("numbers", spec), "person")
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

// testApplyWithoutValue: what a person left out is not there, or another's apply of the same would conflict with it.
func testApplyWithoutValue(t *testing.T, a api) {
	s := server("valueless")
	a.deleteLater(t, s)

	o := applied(s.Name, map[string]any{"configPatches": []any{map[string]any{"op": "remove", "path": "/x"}}})
	for _, owner := range []string{"first", "second"} {
		must(t, a.apply(t.Context(), o, owner))
	}

	stored := o.DeepCopy()
	must(t, a.client.Get(t.Context(), client.ObjectKeyFromObject(s), stored))

	patches, _, err := unstructured.NestedSlice(stored.Object, "spec", "configPatches")
	must(t, err)

	if want := []any{map[string]any{"op": "remove", "path": "/x"}}; !reflect.DeepEqual(patches, want) {
		t.Errorf("stored %v, want %v", patches, want)
	}
}

// testApplyStatus: who applies to the status endpoint neither writes metadata nor comes to own it.
func testApplyStatus(t *testing.T, a api) {
	s := server("status-owner")
	a.deleteLater(t, s)

	o := applied(s.Name, map[string]any{"accepted": false})
	must(t, a.apply(t.Context(), o, "person"))

	status := o.DeepCopy()
	status.SetLabels(map[string]string{"a": "machine"})
	status.Object["status"] = map[string]any{"power": "on"}
	must(t, a.client.Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(status), client.FieldOwner("machine")))

	o.SetLabels(map[string]string{"a": "person"})
	must(t, a.apply(t.Context(), o, "person"))
	a.reload(t, s)

	if s.Labels["a"] != "person" || s.Status.Power != "on" {
		t.Errorf("labels %v, status %+v", s.Labels, s.Status)
	}
}

// testLargestValues applies a server whose every field holds the largest value of its type.
func testLargestValues(t *testing.T, a api) {
	want := server("largest")
	fill(reflect.ValueOf(&want.Spec).Elem())
	want.Spec.PXEMode, want.Spec.BootFromDiskMethod = v1alpha2.PXEModeUEFI, v1alpha2.BootSANDisk
	want.Spec.Hardware.Storage.Devices[0].Size = math.MaxInt64
	want.Spec.BMC.Interface, want.Spec.BMC.Port = "lanplus", math.MaxUint16
	want.Spec.Power.Driver, want.Spec.Power.Webhook.Preset, want.Spec.Power.Webhook.Auth = v1alpha2.PowerIPMI, "", "basic"
	want.Spec.Power.WakeOnLAN.MACs, want.Spec.Power.WakeOnLAN.Address = []string{"ff:ff:ff:ff:ff:ff"}, "255.255.255.255:65535"
	want.Spec.Wipe.Disks, want.Spec.Wipe.Method, want.Spec.Wipe.InstallDisk = v1alpha2.WipeSelected, v1alpha2.WipeZero, nil
	want.Spec.ConfigPatches[0] = v1alpha2.ConfigPatch{Op: "add", Path: "/" + want.Spec.ConfigPatches[0].Path}
	want.Spec.ConfigPatches[0].Value.Raw = []byte(`{"a":[1,"two",null]}`)
	want.Spec.StrategicPatches[0] = "a: " + want.Spec.StrategicPatches[0]

	encoded, err := json.Marshal(want.Spec)
	must(t, err)

	var spec map[string]any
	must(t, utiljson.Unmarshal(encoded, &spec)) // it keeps integers whole

	got := server(want.Name)
	a.deleteLater(t, got)

	for _, owner := range []string{"first", "second"} { // the second compares each value with the first's
		must(t, a.apply(t.Context(), applied(want.Name, spec), owner))
	}

	a.reload(t, got)

	if !reflect.DeepEqual(got.Spec, want.Spec) {
		t.Errorf("got  %+v\nwant %+v", got.Spec, want.Spec)
	}
}

// fill gives every field below a value the largest value of its type, and lists one element.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("ü"), value)
	case reflect.String:
		v.SetString(v.Type().Name() + "-ü-\U0001F5A5")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(math.MaxUint32) // the largest that machines report, but for the size of a disk
	case reflect.Uint8:
		v.SetUint(1<<v.Type().Bits() - 1)
	default:
		panic("no largest value for " + v.Type().String())
	}
}
