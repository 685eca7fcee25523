package leniency

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestRewrite(t *testing.T) {
	newer, older := form{lists: listsOf("v1alpha2")}, form{lists: listsOf("v1alpha1")}
	merge := form{lists: listsOf("v1alpha2"), merge: true}

	for name, c := range map[string]struct {
		body, qualifiers string // no qualifiers: nothing is rewritten
		warns            string
		form             form // v1alpha2's when nothing is said
	}{
		"upstream's sample": {
			body:       "spec:\n  qualifiers:\n  - system: {manufacturer: Dell Inc.}\n    memory: {totalSize: 32 GB}\n",
			qualifiers: `{"hardware":[{"system":{"manufacturer":"Dell Inc."},"memory":{"totalSize":"32 GB"}}]}`,
			warns:      "spec.qualifiers: is not a list; its entries are taken for spec.qualifiers.hardware",
		},
		"a list of lists": {
			body:       `{"spec":{"qualifiers":[{"labelSelectors":[{"a":"b"}]},{"hardware":{"system":{}}}]}}`,
			qualifiers: `{"labelSelectors":[{"a":"b"}],"hardware":[{"system":{}}]}`,
			warns:      "spec.qualifiers.hardware and spec.qualifiers.labelSelectors",
		},
		"a list in the older version": {
			form:       older,
			body:       `{"spec":{"qualifiers":[{"system":{"family":"f"}},{"cpu":{"manufacturer":"X"}}]}}`,
			qualifiers: `{"systemInformation":[{"family":"f"}],"cpu":[{"manufacturer":"X"}]}`,
			warns:      "spec.qualifiers.cpu and spec.qualifiers.systemInformation",
		},
		"what the older version cannot say":         {form: older, body: `{"spec":{"qualifiers":[{"memory":{"totalSize":"1 GB"}}]}}`},
		"parts without a list in the older version": {form: older, body: `{"spec":{"qualifiers":{"system":{"family":"f"}}}}`},
		"a merge patch replaces all": {
			form:       merge,
			body:       `{"spec":{"qualifiers":[{"system":{"family":"f"}}]}}`,
			qualifiers: `{"hardware":[{"system":{"family":"f"}}],"labelSelectors":null}`,
			warns:      "taken for spec.qualifiers.hardware",
		},
		"a part that was moved": {
			form:       merge,
			body:       `{"spec":{"qualifiers":{"system":null}}}`,
			qualifiers: `{}`,
			warns:      "system is not there",
		},
		"an empty list": {body: `{"spec":{"qualifiers":[]}}`, qualifiers: `{}`, warns: "none"},
		"parts without a list": {
			body:       `{"spec":{"qualifiers":{"system":{"family":"f"},"hardware":[{"compute":{"totalCoreCount":9007199254740993}}]}}}`,
			qualifiers: `{"hardware":[{"compute":{"totalCoreCount":9007199254740993}},{"system":{"family":"f"}}]}`,
			warns:      "system belong into an entry of spec.qualifiers.hardware",
		},
		"as it should be":  {body: `{"spec":{"qualifiers":{"hardware":[{"system":{"family":"f"}}]}}}`},
		"list of texts":    {body: `{"spec":{"qualifiers":["a"]}}`},
		"another type":     {body: `{"spec":{"qualifiers":7}}`},
		"none":             {body: `{"spec":{}}`},
		"no spec":          {body: `qualifiers`},
		"broken":           {body: `{"spec":{"qualifiers":[`},
		"keys twice":       {body: "spec:\n  qualifiers: []\n  qualifiers: []\n"},
		"a patch in lists": {body: `[{"op":"add","path":"/spec/qualifiers","value":[]}]`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.form.lists == nil {
				c.form = newer
			}

			body, warnings := rewrite([]byte(c.body), c.form)

			if c.qualifiers == "" {
				if warnings != nil || string(body) != c.body {
					t.Fatalf("rewrote it: %s, %s", body, warnings)
				}

				return
			}

			if !strings.Contains(strings.Join(warnings, "\n"), c.warns) {
				t.Errorf("warned %q, want %q", warnings, c.warns)
			}

			var got struct {
				Spec struct{ Qualifiers json.RawMessage }
			}
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}

			if !reflect.DeepEqual(parsed(t, got.Spec.Qualifiers), parsed(t, []byte(c.qualifiers))) {
				t.Errorf("%s, want %s", got.Spec.Qualifiers, c.qualifiers)
			}

			if strings.Contains(c.qualifiers, "9007199254740993") && !strings.Contains(string(body), "9007199254740993") {
				t.Errorf("changed a number: %s", body)
			}

			if again, warnings := rewrite(body, c.form); warnings != nil {
				t.Errorf("rewrote it twice: %s", again)
			}
		})
	}
}

func parsed(t *testing.T, text []byte) any {
	t.Helper()

	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}

	return value
}

func FuzzRewrite(f *testing.F) {
	f.Add([]byte(`{"spec":{"qualifiers":[{"system":{}}]}}`))
	f.Add([]byte("spec: {qualifiers: {system: 1}}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		rewritten, warnings := rewrite(body, form{lists: listsOf("v1alpha2")})
		if warnings == nil && string(rewritten) != string(body) {
			t.Errorf("changed %q without a warning", body)
		}
	})
}
