package metal

import (
	"bytes"
	"encoding/json"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

const (
	configPatches    = "configPatches"
	strategicPatches = "strategicPatches"

	// mostShown bounds what an error repeats of a patch, in bytes.
	mostShown = 64
)

// ValidatePatches refuses what fits no machine configuration, below the path of what has the patches. Its errors hold no value of
// a patch, which may be a secret.
func ValidatePatches(path *field.Path, operations []v1alpha2.ConfigPatch, strategic []string) field.ErrorList {
	var errs field.ErrorList

	for i, o := range operations {
		m := machineconfig.Operation{Op: o.Op, Path: o.Path, Value: o.Value.Raw}.Mistake()
		if m != nil {
			errs = append(errs, field.Invalid(path.Child(configPatches).Index(i).Child(m.Part), m.Text[:min(len(m.Text), mostShown)], m.Reason))
		}
	}

	for i, text := range strategic {
		if err := machineconfig.Readable(text); err != nil {
			errs = append(errs, field.Invalid(path.Child(strategicPatches).Index(i), "", err.Error()))
		}
	}

	return errs
}

// DoubtPatches finds what Talos's machinery does not take in patches that are readable. A newer Talos may: it is for warnings.
func DoubtPatches(path *field.Path, strategic []string) field.ErrorList {
	var errs field.ErrorList

	for i, text := range strategic {
		if machineconfig.Readable(text) != nil {
			continue
		}

		if err := machineconfig.Understood(text); err != nil {
			errs = append(errs, field.Invalid(path.Child(strategicPatches).Index(i), "", "Talos as it is known here does not take it: "+err.Error()))
		}
	}

	return errs
}

// Canonical writes the values of patches in one way, so that what says the same is the same: clients put keys and spaces as
// they like, and a spec that must not change is compared.
func Canonical(patches []v1alpha2.ConfigPatch) {
	for i := range patches {
		var value any

		decoder := json.NewDecoder(bytes.NewReader(patches[i].Value.Raw))
		decoder.UseNumber()

		if decoder.Decode(&value) != nil {
			continue
		}

		if text, err := json.Marshal(value); err == nil {
			patches[i].Value.Raw = text
		}
	}
}
