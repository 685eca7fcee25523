package conformance_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func validations() []row {
	return []row{
		{name: "validations/values", test: testInvalid},
		{name: "validations/types", test: testMistyped},
		{name: "validations/unknown and duplicate fields", test: testFieldValidation},
		{name: "validations/unknown fields are dropped", test: testPruning},
		{name: "validations/bodies", test: testBodies},
	}
}

func testInvalid(t *testing.T, a api) {
	bad := a.object("one")
	set(bad, a.refused.path, a.refused.value)

	_, err := a.objects.Create(t.Context(), bad, metav1.CreateOptions{})
	refused(t, "create", err, metav1.StatusReasonInvalid, a.refused.path+": Invalid value", bad.GetName())

	if got := causes(err); !slices.Equal(got, []string{a.refused.path}) {
		t.Errorf("create: the causes are %q", got)
	}

	o := a.create(t, a.object("one"))
	set(o, a.refused.path, a.refused.value)

	_, err = a.objects.Update(t.Context(), o, metav1.UpdateOptions{})
	refused(t, "update", err, metav1.StatusReasonInvalid, a.refused.path+": Invalid value", o.GetName())
}

func testMistyped(t *testing.T, a api) {
	bad := a.object("one")
	set(bad, a.mistyped.path, a.mistyped.value)

	_, err := a.objects.Create(t.Context(), bad, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), a.mistyped.path) {
		t.Errorf("create: %v", err)
	}

	o := a.create(t, a.object("one"))
	set(o, a.mistyped.path, a.mistyped.value)

	_, err = a.objects.Update(t.Context(), o, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), a.mistyped.path) {
		t.Errorf("update: %v", err)
	}

	o = a.object("two")
	o.Object["spec"] = "text"

	if err := a.send(t, http.MethodPost, a.path(), o); !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "spec") {
		t.Errorf("a spec that is no object: %v", err)
	}
}

// warned is a client that keeps the warnings of its answers.
type warned struct {
	rest.Interface

	mu    sync.Mutex
	texts []string
}

func (a api) warned() *warned {
	w := &warned{}
	config := rest.CopyConfig(a.Admin)
	config.WarningHandler = w
	w.Interface = kubernetes.NewForConfigOrDie(config).CoreV1().RESTClient()

	return w
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warned) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()

	w.texts = append(w.texts, text)
}

// take returns the warnings since it was last called.
func (w *warned) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()

	texts := strings.Join(w.texts, "; ")
	w.texts = nil

	return texts
}

// testFieldValidation writes a field that the kind does not have, and one twice, by every way to write.
func testFieldValidation(t *testing.T, a api) {
	o := a.create(t, a.object("one"))

	merge := `{"metadata":{"annotations":{"a":"1","a":"2"}},"spec":{"nonsense":1}}`
	spoil := func(o *unstructured.Unstructured) []byte {
		set(o, "spec.nonsense", "x")

		return bytes.Replace(encode(t, o), []byte(`"metadata":{`), []byte(`"metadata":{"annotations":{"a":"1","a":"2"},`), 1)
	}

	for name, write := range map[string]func(rest.Interface) *rest.Request{
		"create": func(c rest.Interface) *rest.Request {
			return c.Post().AbsPath(a.path()).Body(spoil(a.object("two"))).SetHeader("Content-Type", runtime.ContentTypeJSON)
		},
		"update": func(c rest.Interface) *rest.Request {
			return c.Put().AbsPath(a.path(o.GetName())).Body(spoil(o.DeepCopy())).SetHeader("Content-Type", runtime.ContentTypeJSON)
		},
		"merge patch": func(c rest.Interface) *rest.Request {
			return c.Patch(types.MergePatchType).AbsPath(a.path(o.GetName())).Body([]byte(merge))
		},
		"JSON patch": func(c rest.Interface) *rest.Request {
			return c.Patch(types.JSONPatchType).AbsPath(a.path(o.GetName())).Body([]byte(`[{"op":"add","path":"/spec/nonsense","value":1,"value":2}]`))
		},
	} {
		w := a.warned()
		send := func(mode string) error {
			return write(w).Param("fieldValidation", mode).Param("dryRun", "All").Do(t.Context()).Error()
		}

		err := send("Strict")
		if !apierrors.IsBadRequest(err) && !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `unknown field "spec.nonsense"`) {
			t.Errorf("%s, strict: %v", name, err)
		}

		if err == nil || !strings.Contains(err.Error(), "duplicate field") {
			t.Errorf("%s, strict, a field twice: %v", name, err)
		}

		must(t, send("Warn"))

		if texts := w.take(); !strings.Contains(texts, `unknown field "spec.nonsense"`) || !strings.Contains(texts, "duplicate field") {
			t.Errorf("%s warns %q", name, texts)
		}

		must(t, send("Ignore"))

		if texts := w.take(); strings.Contains(texts, "nonsense") {
			t.Errorf("%s warns %q when told not to", name, texts)
		}

		refused(t, name+", another mode", send("Loud"), metav1.StatusReasonInvalid, "fieldValidation")
	}

	unknownApplied := a.configuration("one", "spec.nonsense", "x")
	_, err := a.objects.Patch(t.Context(), o.GetName(), types.ApplyPatchType, encode(t, unknownApplied), metav1.PatchOptions{FieldManager: "ann", FieldValidation: "Strict"})

	if err == nil || !strings.Contains(err.Error(), "spec.nonsense") {
		t.Errorf("apply, strict: %v", err)
	}
}

func testPruning(t *testing.T, a api) {
	o := a.object("one")
	set(o, "spec.nonsense", "x")
	set(o, "nonsense", "x")
	set(o, "metadata.nonsense", "x")

	created, err := a.objects.Create(t.Context(), o, metav1.CreateOptions{FieldValidation: metav1.FieldValidationIgnore})
	must(t, err)

	for name, o := range map[string]*unstructured.Unstructured{"created": created, "read": a.reload(t, created)} {
		if text := string(encode(t, o)); strings.Contains(text, "nonsense") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func testBodies(t *testing.T, a api) {
	post := func(kind, body string) error {
		return a.rest().Post().AbsPath(a.path()).SetHeader("Content-Type", kind).Body([]byte(body)).Do(t.Context()).Error()
	}

	whole := string(encode(t, a.object("json")))

	must(t, post("application/json", whole))
	must(t, post("application/yaml", fmt.Sprintf("# a comment\n%s\n", encode(t, a.object("yaml")))))

	for name, c := range map[string]struct {
		kind, body string
		reason     metav1.StatusReason
	}{
		"half an object":      {"application/json", whole[:len(whole)/2], metav1.StatusReasonBadRequest},
		"broken YAML":         {"application/yaml", "metadata: {name: [", metav1.StatusReasonBadRequest},
		"nothing":             {"application/json", "", metav1.StatusReasonBadRequest},
		"a list":              {"application/json", "[" + whole + "]", metav1.StatusReasonBadRequest},
		"an unknown encoding": {"text/plain", whole, metav1.StatusReasonUnsupportedMediaType},
		"too large":           {"application/json", `{"spec":"` + strings.Repeat("x", 4<<20) + `"}`, metav1.StatusReasonRequestEntityTooLarge},
	} {
		refused(t, name, post(c.kind, c.body), c.reason)
	}

	body, err := a.rest().Get().AbsPath(a.path(a.id+"-json")).SetHeader("Accept", "application/yaml").DoRaw(t.Context())
	must(t, err)

	if !strings.Contains(string(body), "kind: "+a.Kind+"\n") {
		t.Errorf("in YAML: %s", body)
	}

	err = a.rest().Get().AbsPath(a.path(a.id+"-json")).SetHeader("Accept", "text/html").Do(t.Context()).Error()
	refused(t, "an answer in HTML", err, metav1.StatusReasonNotAcceptable)
}
