package v1alpha2_test

import (
	"reflect"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TestNumbersSuitServerSideApply looks for types of numbers that structured-merge-diff, which server-side apply rests on,
// panics over: it knows int64 and float64, and that converting from JSON wraps around.
func TestNumbersSuitServerSideApply(t *testing.T) {
	seen := map[reflect.Type]bool{}

	for _, kind := range v1alpha2.Kinds() {
		inspect(t, reflect.TypeOf(kind), "", seen)
	}

	if !seen[reflect.TypeFor[v1alpha2.StorageDevice]()] {
		t.Error("the disks were not looked at")
	}
}

func inspect(t *testing.T, typ reflect.Type, path string, seen map[reflect.Type]bool) {
	t.Helper()

	if seen[typ] {
		return
	}

	seen[typ] = true

	switch typ.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		inspect(t, typ.Elem(), path, seen)
	case reflect.Map:
		inspect(t, typ.Key(), path, seen)
		inspect(t, typ.Elem(), path, seen)
	case reflect.Struct:
		for i := range typ.NumField() {
			if field := typ.Field(i); field.IsExported() {
				inspect(t, field.Type, typ.Name()+"."+field.Name, seen)
			}
		}
	case reflect.Uint, reflect.Uint32, reflect.Uint64, reflect.Uintptr, reflect.Float32, reflect.Complex64, reflect.Complex128:
		t.Errorf("%s is of type %s: choose int64", path, typ)
	}
}
