package metal

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// validateHardware holds every number to what machines report, which is at most 32 bits, but for the size of a disk; and
// refuses lists with nothing in a place.
func validateHardware(path *field.Path, hardware *v1alpha2.HardwareInformation) field.ErrorList {
	return validateFacts(path, reflect.ValueOf(hardware))
}

func validateFacts(path *field.Path, facts reflect.Value) field.ErrorList {
	var errs field.ErrorList

	switch facts.Kind() {
	case reflect.Pointer:
		if !facts.IsNil() {
			return validateFacts(path, facts.Elem())
		}
	case reflect.Slice:
		for i := range facts.Len() {
			item := facts.Index(i)
			if item.Kind() == reflect.Pointer && item.IsNil() {
				errs = append(errs, field.Required(path.Index(i), "must not be null"))
			}

			errs = append(errs, validateFacts(path.Index(i), item)...)
		}
	case reflect.Struct:
		for i := range facts.NumField() {
			name, _, _ := strings.Cut(facts.Type().Field(i).Tag.Get("json"), ",")
			errs = append(errs, validateFacts(path.Child(name), facts.Field(i))...)
		}

		if disk, ok := facts.Interface().(v1alpha2.StorageDevice); ok && disk.Size > math.MaxUint32 {
			return nil // its only number, and it is positive
		}
	case reflect.Int64:
		if n := facts.Int(); n < 0 || n > math.MaxUint32 {
			errs = append(errs, field.Invalid(path, n, fmt.Sprintf("must be between 0 and %d", uint32(math.MaxUint32))))
		}
	default: // texts
	}

	return errs
}
