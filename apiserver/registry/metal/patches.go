package metal

import (
	"bytes"
	"encoding/json"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

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
