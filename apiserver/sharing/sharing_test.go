package sharing

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"runtime"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// plain is a codec that shares nothing.
func plain(t *testing.T) kuberuntime.Codec {
	t.Helper()

	scheme := kuberuntime.NewScheme()
	if err := v1alpha2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}

	codecs := serializer.NewCodecFactory(scheme)
	json, _ := kuberuntime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), kuberuntime.ContentTypeJSON)

	return codecs.CodecForVersions(json.Serializer, json.Serializer, v1alpha2.GroupVersion, v1alpha2.GroupVersion)
}

func decode[T kuberuntime.Object](t *testing.T, codec kuberuntime.Codec, object T) T {
	t.Helper()

	data, err := kuberuntime.Encode(codec, object)
	if err != nil {
		t.Fatal(err)
	}

	decoded, err := kuberuntime.Decode(codec, data)
	if err != nil {
		t.Fatal(err)
	}

	return decoded.(T)
}

func aServer(uid types.UID) *v1alpha2.Server {
	return &v1alpha2.Server{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha2.GroupVersion.String(), Kind: "Server"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "a", UID: uid, Labels: map[string]string{"rack": "1"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}},
		},
		Spec:   v1alpha2.ServerSpec{Hardware: &v1alpha2.HardwareInformation{System: &v1alpha2.SystemInformation{UUID: "u", Manufacturer: "ACME"}}},
		Status: v1alpha2.ServerStatus{Conditions: v1alpha2.Conditions{{Type: v1alpha2.ConditionPowerCycle, Status: "True"}}},
	}
}

func TestServer(t *testing.T) {
	codec := Codec(plain(t))
	first := decode(t, codec, aServer("1"))

	for name, c := range map[string]struct {
		change func(*v1alpha2.Server)
		shares bool
	}{
		"nothing":          {func(*v1alpha2.Server) {}, true},
		"something else":   {func(s *v1alpha2.Server) { s.Spec.Accepted, s.Labels["rack"] = true, "2" }, true},
		"another server":   {func(s *v1alpha2.Server) { s.UID = "2" }, false},
		"other hardware":   {func(s *v1alpha2.Server) { s.Spec.Hardware.System.Manufacturer = "Dell" }, false},
		"emptied hardware": {func(s *v1alpha2.Server) { s.Spec.Hardware = &v1alpha2.HardwareInformation{} }, false},
		"no hardware":      {func(s *v1alpha2.Server) { s.Spec.Hardware = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := decode(t, codec, first)
			defer runtime.KeepAlive(before) // what nobody has any more is not shared

			changed := aServer("1")
			c.change(changed)

			got := decode(t, codec, changed)
			if diff := cmp.Diff(decode(t, plain(t), changed), got); diff != "" {
				t.Error(diff)
			}

			if shares := got.Spec.Hardware == before.Spec.Hardware; shares != c.shares {
				t.Errorf("shares: %v", shares)
			}

			if got.ManagedFields[0].FieldsV1 != before.ManagedFields[0].FieldsV1 {
				t.Error("what managers own is there twice")
			}
		})
	}
}

// TestFields: what managers own is compared, and not only its hash.
func TestFields(t *testing.T) {
	codec := newNative()
	first := aServer("1").ManagedFields
	codec.shareFields(first)

	same := aServer("2").ManagedFields
	same[0].FieldsV1 = metav1.NewFieldsV1(`{"f:spec":{}}`)

	other := aServer("3").ManagedFields
	other[0].FieldsV1 = metav1.NewFieldsV1(`{"f:status":{}}`)
	codec.fields.first(maphash.Bytes(codec.seed, other[0].FieldsV1.GetRawBytes()), first[0].FieldsV1) // as if the hashes were equal

	none := []metav1.ManagedFieldsEntry{{Manager: "m"}}

	for _, entries := range [][]metav1.ManagedFieldsEntry{same, other, none} {
		codec.shareFields(entries)
	}

	if same[0].FieldsV1 != first[0].FieldsV1 || other[0].FieldsV1.GetRawString() != `{"f:status":{}}` || none[0].FieldsV1 != nil {
		t.Errorf("%v, %v, %v", same, other, none)
	}
}

// TestOwn gives an object of his own to who may change it.
func TestOwn(t *testing.T) {
	codec := Codec(plain(t))
	first := decode(t, codec, aServer("1"))

	data, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}

	own := &v1alpha2.Server{}
	if _, _, err := codec.Decode(data, nil, own); err != nil || own.Spec.Hardware == first.Spec.Hardware {
		t.Errorf("%v, or it shares its hardware", err)
	}

	if _, err := kuberuntime.Decode(codec, []byte("{")); err == nil {
		t.Error("damaged data is decoded")
	}
}

func TestClass(t *testing.T) {
	codec := Codec(plain(t))
	class := func(names ...string) *v1alpha2.ServerClass {
		return &v1alpha2.ServerClass{
			TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha2.GroupVersion.String(), Kind: "ServerClass"},
			ObjectMeta: metav1.ObjectMeta{Name: "any", UID: "1"},
			Status:     v1alpha2.ServerClassStatus{ServersAvailable: names, ServersInUse: []string{}},
		}
	}
	first := decode(t, codec, class("a", "c", "d"))
	second := decode(t, codec, class("a", "b", "d", "e"))

	if diff := cmp.Diff([]string{"a", "b", "d", "e"}, second.Status.ServersAvailable); diff != "" {
		t.Error(diff)
	}

	for name, at := range map[string][2]int{"a": {0, 0}, "d": {2, 2}} {
		if unsafe.StringData(first.Status.ServersAvailable[at[0]]) != unsafe.StringData(second.Status.ServersAvailable[at[1]]) {
			t.Errorf("%q is there twice", name)
		}
	}

	runtime.KeepAlive(first)
}

// TestGone holds that nothing stays in memory for having been decoded once.
func TestGone(t *testing.T) {
	v := newVersions[types.UID, v1alpha2.Server]()
	kept := aServer("kept")
	v.follow(kept.UID, kept)

	for n := range fewVersions {
		uid := types.UID(fmt.Sprint(n))
		v.follow(uid, aServer(uid))

		if n == fewVersions-2 {
			runtime.GC()
		}
	}

	if fields := v.first(kept.UID, aServer("kept")); fields != kept {
		t.Error("there is a first one twice")
	}

	if len(v.last) > 3 || v.before(kept.UID) != kept {
		t.Errorf("%d are known", len(v.last))
	}
}
