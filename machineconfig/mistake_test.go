package machineconfig

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestMistake has the operations that fit no configuration, and those that may fit one.
func TestMistake(t *testing.T) {
	for text, want := range map[string]string{
		`{"op":"add","path":"/machine/install/disk","value":"/dev/sda"}`: "",
		`{"op":"add","path":"/a"}`:                                       "", // null
		`{"op":"remove","path":"/a~1b/0"}`:                               "",
		`{"op":"test","path":"","value":{}}`:                             "",
		`{"op":"replace","path":"","value":{"version":"v1alpha1"}}`:      "",
		`{"op":"copy","path":"/a","from":"/b"}`:                          "",
		`{"op":"move","path":"/a","from":"/b"}`:                          "",

		`{"path":"/a"}`:                                                "op",
		`{"op":"Add","path":"/a"}`:                                     "op",
		`{"op":"merge","path":"/a"}`:                                   "op",
		`{"op":"copy","path":"/a"}`:                                    "op",
		`{"op":"move","path":"/a"}`:                                    "op",
		`{"op":"move","path":"/a","from":"b"}`:                         "from",
		`{"op":"add","path":"machine/install/disk","value":"hunter2"}`: "path",
		`{"op":"add","path":"","value":{}}`:                            "path",
		`{"op":"remove"}`:                                              "path",
		`{"op":"replace","path":""}`:                                   "value",
		`{"op":"replace","path":"","value":null}`:                      "value",
		`{"op":"replace","path":"","value":["hunter2"]}`:               "value",
	} {
		var o Operation
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}

		m := o.Mistake()
		if got := ""; m != nil {
			if got = m.Part; got != want || m.Reason == "" {
				t.Errorf("%s: %+v, want %q", text, m, want)
			}

			if strings.Contains(m.Text+m.Reason, "hunter2") {
				t.Errorf("%s: the value is told: %+v", text, m)
			}
		} else if want != "" {
			t.Errorf("%s: nothing is wrong, want %q", text, want)
		}
	}
}

// TestReadable has patches that can be applied to nothing, those that may be for a Talos of the future, and good ones.
func TestReadable(t *testing.T) {
	for text, want := range map[string]struct{ never, doubt string }{
		"machine: {install: {disk: /dev/sda}}":                                  {},
		"machine:\n  sysctls: {a: b}\n---\n$patch: delete\nkind: KmsgLogConfig": {doubt: "missing apiVersion"},
		`{"machine": {"install": {"disk": "/dev/vda"}}}`:                        {},
		"{\n\t\"machine\": {\n\t\t\"type\": \"worker\"\n\t}\n}":                 {},
		"---\nmachine: {}\n---\n":                                               {},
		"- op: add\n  path: /machine/type\n  value: worker\n":                   {},
		"[\n\t{\"op\": \"remove\", \"path\": \"/machine/type\"}\n]":             {},
		`[{"op":"copy","from":"/machine/type","path":"/machine/x"}]`:            {},
		"machine: {future: hunter2}":                                            {doubt: "machine.future"},
		"kind: FutureConfig\napiVersion: v1alpha1":                              {doubt: "FutureConfig"},
		"machine: 7": {doubt: "line 1"},

		"":                            {never: "empty"},
		"# nothing\n---\n":            {never: "empty"},
		"hunter2":                     {never: "document 1 is no mapping"},
		"machine: {}\n---\n- hunter2": {never: "document 2 is no mapping"},
		"machine: [hunter2":           {never: "is no YAML"},
		"a: *hunter":                  {never: "is no YAML"},
		"- hunter2":                   {never: "operations of a JSON patch"},
		"- op: jump\n  path: /a":      {never: `[0].op: "jump" must be one of "add"`},
		`[{"op":"add","path":"/a"},{"op":"add","path":"a"}]`: {never: `[1].path: "a" must begin with /`},
		`[{"op":"replace","path":""}]`:                       {never: "[0].value: is no mapping"},
		`[{"op":"move","path":"/a"}]`:                        {never: `[0].op: "move" takes a value from another place`},
	} {
		complains(t, text, Readable(text), want.never)

		if want.never == "" {
			complains(t, text, Understood(text), want.doubt)
		}
	}
}

func complains(t *testing.T, text string, err error, want string) {
	t.Helper()

	if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%q: %v, want %q", text, err, want)
	}

	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%q: what it holds is told: %v", text, err)
	}
}

const smallConfiguration = "version: v1alpha1\nmachine: {type: worker, sysctls: {a: b}, files: [{path: /a}]}\ncluster: {controlPlane: {endpoint: 'https://10.0.0.1:6443'}}\n"

// FuzzReadable: nothing panics, and what is said to fit nothing is never applied.
func FuzzReadable(f *testing.F) {
	for _, text := range []string{
		"machine: {install: {disk: /dev/sda}}", "a: [", "- op: add\n  path: /machine/type\n  value: x\n", "[]", "[null]", "{}", "null", "---\n---\n",
		`[{"op":"replace","path":""}]`, `[{"op":"test","path":"","value":null}]`, `[{"op":"remove","path":"/machine/files/-1"}]`,
		`[{"op":"add","path":"/machine/files/-","value":null},{"op":"copy","from":"/machine/files/1","path":"/x"}]`,
		`[{"op":"replace","path":"","value":{}},{"op":"add","path":"/a","value":1}]`, "$patch: delete", "machine:\n  $patch: delete\n",
		"kind: KmsgLogConfig\napiVersion: v1alpha1\nname: x\nurl: tcp://10.0.0.1:4001\n", "a: &a [*a]", "? [a]\n: b", "!!binary x",
	} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		never, patches := Readable(text), Patches{Strategic: []string{text}}
		_ = Understood(text)

		if _, err := Patch([]byte(smallConfiguration), patches); err == nil && never != nil {
			t.Errorf("%q is applied, although it %v", text, never)
		}
	})
}

// FuzzOperation: nothing panics, and an operation that fits nothing is not applied by the library either.
func FuzzOperation(f *testing.F) {
	for _, text := range []string{
		`{"op":"add","path":"/machine/type","value":"x"}`, `{"op":"replace","path":"","value":{}}`, `{"op":"remove","path":""}`,
		`{"op":"test","path":"","value":null}`, `{"op":"replace","path":"","value":[]}`, `{"op":"copy","path":"/a"}`, `{"op":"add","path":"a"}`,
	} {
		f.Add(text)
	}

	f.Fuzz(func(t *testing.T, text string) {
		var o Operation
		if json.Unmarshal([]byte(text), &o) != nil {
			return
		}

		_, err := Patch([]byte(smallConfiguration), Patches{Operations: []Operation{o}})
		if m := o.Mistake(); err == nil && m != nil {
			t.Errorf("%s is applied, although its %s %s", text, m.Part, m.Reason)
		}
	})
}
