package refusal

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
)

func TestHandler(t *testing.T) {
	const object = `patch: Invalid value: "{\"metadata\":{\"name\":\"a: \\\"b\\\"\"}}": `

	for name, c := range map[string]struct {
		verb    string
		status  int
		message string
		patch   string
		want    string // empty: as it was
	}{
		"a wrong type": {"patch", 422, ` "" is invalid: ` + object + `json: cannot unmarshal string into Go struct field ServerSpec.spec.accepted of type bool`, "",
			`servers.metal.sidero.dev "one" is invalid: spec.accepted: must be of type boolean, not string`},
		"an object in place of a list": {"patch", 422, object + `json: cannot unmarshal object into Go struct field ServerSpec.spec.strategicPatches of type []string`, "",
			`servers.metal.sidero.dev "one" is invalid: spec.strategicPatches: must be of type array, not object`},
		"another problem": {"patch", 422, object + `strict decoding error: unknown field "spec.x"`, "",
			`servers.metal.sidero.dev "one" is invalid: strict decoding error: unknown field "spec.x"`},
		"an operation that does not apply": {"patch", 422, unapplied, `[{"op":"remove","path":"/spec/a"}]`,
			`servers.metal.sidero.dev "one" is invalid: the patch does not apply: the object lacks what it needs, or a test fails: remove /spec/a`},
		"operations that do not apply": {"patch", 422, unapplied, `[{"op":"test","path":"/a"},{"op":"move","from":"/b","path":"/c"}]`,
			`servers.metal.sidero.dev "one" is invalid: the patch does not apply: the object lacks what it needs, or a test fails: test /a, move from /b to /c`},
		"a test that fails": {"patch", 422, unapplied, `[{"op":"test","path":"/a","value":1}]`,
			`servers.metal.sidero.dev "one" is invalid: the patch does not apply: test /a: the object holds another value there`},
		"no patch":                   {"patch", 422, unapplied, `7`, `servers.metal.sidero.dev "one" is invalid: the patch does not apply`},
		"what says it already":       {"patch", 422, `Server "one" is invalid: spec.bmc.port: Invalid value: -1`, "", ""},
		"what is not understood":     {"patch", 422, `patch: Invalid value: unquoted`, "", ""},
		"success":                    {"patch", 200, object, "", ""},
		"another request than patch": {"update", 422, object + "json: no", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			sent, err := json.Marshal(metav1.Status{Message: c.message, Code: int32(c.status)})
			if err != nil {
				t.Fatal(err)
			}

			w := ask(t, c.verb, c.patch, func(w http.ResponseWriter) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Length", fmt.Sprint(len(sent)))
				w.WriteHeader(c.status)
				_, _ = w.Write(sent[:3])
				_, _ = w.Write(sent[3:])
			})

			if w.Code != c.status {
				t.Errorf("status %d", w.Code)
			}

			if c.want == "" {
				if w.Body.String() != string(sent) {
					t.Errorf("changed to %s", w.Body)
				}

				return
			}

			var got metav1.Status
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Message != c.want || got.Code != int32(c.status) {
				t.Errorf("%v %+v, want %s", err, got, c.want)
			}
		})
	}
}

// TestHandlerPasses what it does not understand: other encodings and no status at all.
func TestHandlerPasses(t *testing.T) {
	for kind, body := range map[string]string{"application/json": "{broken", "application/yaml": "message: 'patch: Invalid value: '", "": "text"} {
		w := ask(t, "patch", "", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(body))
		})
		if strings.TrimSpace(w.Body.String()) != body || w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", kind, w.Code, w.Body)
		}
	}

	if w := ask(t, "patch", "", func(w http.ResponseWriter) { _, _ = w.Write([]byte("fine")) }); w.Code != http.StatusOK || w.Body.String() != "fine" {
		t.Errorf("without a header: %d %s", w.Code, w.Body)
	}
}

func ask(t *testing.T, verb, patch string, answer func(http.ResponseWriter)) *httptest.ResponseRecorder {
	t.Helper()

	r := httptest.NewRequest(http.MethodPatch, "/", strings.NewReader(patch))
	r.Header.Set("Content-Type", "application/json-patch+json")
	r = r.WithContext(request.WithRequestInfo(r.Context(), &request.RequestInfo{
		IsResourceRequest: true, Verb: verb, APIGroup: "metal.sidero.dev", Resource: "servers", Name: "one",
	}))
	w := httptest.NewRecorder()
	Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w)
	})).ServeHTTP(w, r)

	return w
}
