package webhook

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/power"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		"a":            `[["a"]]`,
		"$.a":          `[["a"]]`,
		"a.b[0][12].c": `[["a"] ["b"] [0] [12] ["c"]]`,
		`$["a.b"].c`:   `[["a.b"] ["c"]]`,
		`["a\"]"]`:     `[["a\"]"]]`,
		"$":            `[]`,
	} {
		if path, err := parsePath(text); err != nil || fmt.Sprint(path) != want {
			t.Errorf("%s: %v, %v", text, path, err)
		}
	}
	for _, text := range []string{".a", "a.", "a..b", "a[", "a[]", "a[-1]", "a[x]", `a["x]`, `a["x"`, "a[0]b", "a[99999999999]", "$a."} {
		if path, err := parsePath(text); err == nil {
			t.Errorf("%s: accepted as %v", text, path)
		}
	}
}

func FuzzState(f *testing.F) {
	for _, seed := range [][2]string{
		{"ison", `{"ison":true}`}, {"a[0].b", `{"a":[{"b":"off"}]}`}, {`["x"]`, `{"x":1e400}`}, {"$", "1"}, {"a", "null"}, {"a", `{"a":{}}`}, {"[0]", "[[[["},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, answer string) {
		var check checker
		extract := check.extractor(&StateRequest{JSONPath: path})
		if len(check.wrong) > 0 {
			return
		}
		state, err := extract.state([]byte(answer))
		if (err != nil) != (state == power.Unknown) {
			t.Errorf("%s with %v", state, err)
		}
		if err == nil && !json.Valid([]byte(answer)) {
			t.Errorf("%s read out of what is not JSON", state)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("http://${a}/x?${b}=1", "v/&?#@:")
	f.Add("${a}", "http://x")
	f.Add("http://x/${", "")
	f.Fuzz(func(t *testing.T, text, value string) {
		check := checker{values: map[string]string{"b": value}}
		parsed := check.prepareURL("url", "http://10.0.0.9"+text)
		// A value put behind the host never changes where the request goes.
		if len(check.wrong) == 0 && text != "" && text[0] == '/' && parsed.Host != "10.0.0.9" {
			t.Errorf("goes to %s", parsed.Host)
		}
	})
}
