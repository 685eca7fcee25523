package metal

import (
	"encoding/json"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha1"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

// TestQualifiersUp: a server must match an entry of each of v1alpha1's lists.
func TestQualifiersUp(t *testing.T) {
	for name, c := range map[string]struct{ old, hardware string }{
		"nothing": {`{}`, `null`},
		"systems": {`{"systemInformation":[{"family":"a"},{"family":"b"}]}`, `[{"system":{"family":"a"}},{"system":{"family":"b"}}]`},
		"cpus":    {`{"cpu":[{"version":"x"}]}`, `[{"compute":{"processors":[{"productName":"x"}]}}]`},
		"both": {
			`{"cpu":[{"version":"x"},{"version":"y"}],"systemInformation":[{"family":"a"},{"family":"b"}]}`,
			`[{"system":{"family":"a"},"compute":{"processors":[{"productName":"x"}]}},` +
				`{"system":{"family":"a"},"compute":{"processors":[{"productName":"y"}]}},` +
				`{"system":{"family":"b"},"compute":{"processors":[{"productName":"x"}]}},` +
				`{"system":{"family":"b"},"compute":{"processors":[{"productName":"y"}]}}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			old, up, back := &v1alpha1.ServerClass{}, &v1alpha2.ServerClass{}, &v1alpha1.ServerClass{}
			read(t, c.old, &old.Spec.Qualifiers)
			serverClassUp(old, up)

			if got := write(t, up.Spec.Qualifiers.Hardware); got != c.hardware {
				t.Errorf("%s, want %s", got, c.hardware)
			}

			serverClassDown(up, back)

			if got := write(t, back.Spec.Qualifiers); got != c.old {
				t.Errorf("back it is %s, want %s", got, c.old)
			}
		})
	}
}

// TestQualifiersRestored: what v1alpha1 cannot say stays when the class is written through v1alpha1.
func TestQualifiersRestored(t *testing.T) {
	const stored = `[{"system":{"uuid":"u","family":"a"},"memory":{"totalSize":"1 GB"}},{"compute":{"processors":[{"productName":"x","speed":7}]}},{"memory":{"totalSize":"2 GB"}}]`

	for name, c := range map[string]struct{ written, want string }{
		"unchanged": {`{"systemInformation":[{"family":"a"}],"cpu":[{"version":"x"}]}`, stored},
		"changed in place": {
			`{"systemInformation":[{"family":"b"}],"cpu":[{"version":"y"}]}`,
			`[{"system":{"uuid":"u","family":"b"},"memory":{"totalSize":"1 GB"}},{"compute":{"processors":[{"productName":"y","speed":7}]}},{"memory":{"totalSize":"2 GB"}}]`,
		},
		"one more": { // what the hidden parts belong to is not known any more
			`{"systemInformation":[{"family":"a"},{"family":"b"}]}`, `[{"system":{"family":"a"}},{"system":{"family":"b"}}]`,
		},
		"all removed": {`{}`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			old, up, before := &v1alpha1.ServerClass{}, &v1alpha2.ServerClass{}, &v1alpha2.ServerClass{}
			read(t, c.written, &old.Spec.Qualifiers)
			read(t, stored, &before.Spec.Qualifiers.Hardware)
			serverClassUp(old, up)
			restoreServerClass(up, before)

			if got := write(t, up.Spec.Qualifiers.Hardware); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func read(t *testing.T, text string, into any) {
	t.Helper()

	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, value any) string {
	t.Helper()

	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}
