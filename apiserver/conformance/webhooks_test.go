package conformance_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func webhooks() []row {
	return []row{
		{name: "webhooks/are told", test: testWebhookIsTold},
		{name: "webhooks/change", test: testWebhookChanges},
		{name: "webhooks/refuse", test: testWebhookRefuses},
		{name: "webhooks/warn", test: testWebhookWarns},
		{name: "webhooks/that are down", test: testWebhookDown},
		{name: "webhooks/of the status", test: testWebhookOfStatus},
		{name: "webhooks/of the scale", takes: subject.hasScale, test: testWebhookOfScale},
		{name: "webhooks/for another version", takes: subject.hasOther, test: testWebhookOtherVersion},
	}
}

func testWebhookIsTold(t *testing.T, a api) {
	h := listen(t, allow)
	a.validating(t, h)
	a.heard(t, h)

	o := a.create(t, a.with("one", a.text.one))
	o = a.merge(t, o, a.text.path, a.text.two)
	must(t, a.objects.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}))
	a.create(t, a.object("two"))
	must(t, a.objects.DeleteCollection(t.Context(), metav1.DeleteOptions{}, a.mine()))

	asked := h.take()

	var operations []string
	for _, request := range asked {
		operations = append(operations, string(request.Operation))
	}

	if got := strings.Join(operations, " "); got != "CREATE UPDATE DELETE CREATE DELETE" {
		t.Fatalf("asked about %s", got)
	}

	for i, want := range []struct{ is, was string }{{a.text.one, ""}, {a.text.two, a.text.one}, {"", a.text.two}} {
		request := asked[i]
		is, was := told(t, request.Object.Raw), told(t, request.OldObject.Raw)

		if at(is, a.text.path) != want.is || at(was, a.text.path) != want.was {
			t.Errorf("%s is asked with\n%s\n%s", request.Operation, request.Object.Raw, request.OldObject.Raw)
		}

		a.identified(t, request, is, was)
	}
}

// identified checks that a request tells what it is about.
func (a api) identified(t *testing.T, request *admissionv1.AdmissionRequest, objects ...*unstructured.Unstructured) {
	t.Helper()

	kind := metav1.GroupVersionKind{Group: a.Group, Version: a.Version, Kind: a.Kind}
	resource := metav1.GroupVersionResource{Group: a.Group, Version: a.Version, Resource: a.resource}

	if request.Kind != kind || request.Resource != resource || *request.RequestKind != kind || *request.RequestResource != resource || request.SubResource != "" {
		t.Errorf("%s is asked about %v %v", request.Operation, request.Kind, request.Resource)
	}

	if request.Name != a.id+"-one" || a.namespaced && request.Namespace != a.namespace || request.UserInfo.Username == "" {
		t.Errorf("%s is asked about %s %s by %s", request.Operation, request.Namespace, request.Name, request.UserInfo.Username)
	}

	for _, o := range objects {
		if o.Object != nil && (o.GroupVersionKind() != a.GroupVersionKind || o.GetUID() == "" || len(o.GetManagedFields()) == 0) {
			t.Errorf("%s is asked with %v", request.Operation, o.Object)
		}
	}
}

func testWebhookChanges(t *testing.T, a api) {
	h := listen(t, func(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		patch := `[{"op":"add","path":"` + pointer(a.text.path) + `","value":"` + a.text.two + `"},{"op":"add","path":"/metadata/labels/changed","value":"yes"}]`

		return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: new(admissionv1.PatchTypeJSONPatch)}
	})

	_, err := a.kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: a.id + ".example.com"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "hook.example.com", ClientConfig: h.client(), Rules: a.rules(a.Version), ObjectSelector: a.ownLabel(),
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	}, metav1.CreateOptions{})
	must(t, err)
	a.heard(t, h)

	// Those who validate see what was changed.
	judge := listen(t, func(request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: strings.Contains(string(request.Object.Raw), `"changed":"yes"`)}
	})
	a.validating(t, judge)
	a.heard(t, judge)

	o := a.create(t, a.with("one", a.text.one))
	if at(o, a.text.path) != a.text.two || o.GetLabels()["changed"] != "yes" || at(a.reload(t, o), a.text.path) != a.text.two {
		t.Errorf("created %v", o.Object)
	}

	applied := a.apply(t, "ann", a.whole("two", a.text.path, a.text.one))
	if at(applied, a.text.path) != a.text.two || len(judge.take()) != 2 {
		t.Errorf("applied %v", applied.Object)
	}
}

// refuses says no, with reasons.
func refuses(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{Message: "not on a Sunday", Code: http.StatusTeapot, Reason: "Sunday"}}
}

func testWebhookRefuses(t *testing.T, a api) {
	before := a.create(t, a.object("before"))
	h := listen(t, refuses)

	a.validating(t, h, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "not-dull", Expression: "!has(request.name) || request.name != '" + a.id + "-dull'"}}
	})
	a.heard(t, h)

	_, err := a.objects.Create(t.Context(), a.object("one"), metav1.CreateOptions{})
	refused(t, "create", err, "Sunday", "hook.example.com", "denied the request: not on a Sunday")

	set(before, a.text.path, a.text.one)

	_, err = a.objects.Update(t.Context(), before, metav1.UpdateOptions{})
	refused(t, "update", err, "Sunday", "not on a Sunday")

	o := a.whole("applied")
	_, err = a.objects.Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "ann"})
	refused(t, "apply", err, "Sunday", "not on a Sunday")

	err = a.objects.Delete(t.Context(), before.GetName(), metav1.DeleteOptions{})
	refused(t, "delete", err, "Sunday", "not on a Sunday")

	err = a.objects.DeleteCollection(t.Context(), metav1.DeleteOptions{}, a.mine())
	refused(t, "delete all", err, "Sunday", "not on a Sunday")

	a.create(t, a.object("dull"))

	if now := a.names(a.list(t, metav1.ListOptions{})); now != "before dull" {
		t.Errorf("there are %s", now)
	}
}

func testWebhookWarns(t *testing.T, a api) {
	h := listen(t, func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		return &admissionv1.AdmissionResponse{Allowed: true, Warnings: []string{"it is late"}}
	})
	a.validating(t, h)
	a.heard(t, h)

	w := a.warned()
	must(t, w.Post().AbsPath(a.path()).SetHeader("Content-Type", "application/json").Body(encode(t, a.object("one"))).Do(t.Context()).Error())

	if texts := w.take(); !strings.Contains(texts, "it is late") {
		t.Errorf("warned %q", texts)
	}
}

// testWebhookDown has a webhook that nobody answers for, and one with another certificate.
func testWebhookDown(t *testing.T, a api) {
	down := listen(t, allow)
	a.validating(t, down, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.FailurePolicy = new(admissionregistrationv1.Fail)
		w.TimeoutSeconds = new(int32(2))
	})
	a.heard(t, down)
	down.CloseClientConnections()
	down.Close()

	_, err := a.objects.Create(t.Context(), a.object("one"), metav1.CreateOptions{})
	refused(t, "create", err, metav1.StatusReasonInternalError, "failed calling webhook", "hook.example.com")

	configurations := a.kube.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	configuration, err := configurations.Get(t.Context(), a.id+".example.com", metav1.GetOptions{})
	must(t, err)

	configuration.Webhooks[0].FailurePolicy = new(admissionregistrationv1.Ignore)
	_, err = configurations.Update(t.Context(), configuration, metav1.UpdateOptions{})
	must(t, err)

	eventually(t, "pass by the webhook that is down", func(ctx context.Context) (bool, error) {
		_, err := a.objects.Create(ctx, a.object("one"), metav1.CreateOptions{})

		return err == nil, nil
	})
}

func testWebhookOfStatus(t *testing.T, a api) {
	o := a.create(t, a.object("one"))
	h := listen(t, refuses)

	a.validating(t, h, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.Rules = a.rules(a.Version, a.resource+"/status")
		w.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "status", Expression: "has(request.subResource) || request.dryRun"}}
	})
	a.heard(t, h)

	o = a.merge(t, o, a.text.path, a.text.one)
	set(o, a.note.path, a.note.one)

	_, err := a.objects.UpdateStatus(t.Context(), o, metav1.UpdateOptions{})
	refused(t, "update the status", err, "Sunday")

	asked := h.take()
	if len(asked) != 1 || asked[0].SubResource != "status" || at(told(t, asked[0].Object.Raw), a.note.path) != a.note.one {
		t.Errorf("asked %v", asked)
	}
}

// testWebhookOfScale cannot go by labels: a scale has none.
func testWebhookOfScale(t *testing.T, a api) {
	o := a.create(t, a.whole("one", "spec.replicas", int64(3)))
	h := listen(t, refuses)

	a.validating(t, h, func(w *admissionregistrationv1.ValidatingWebhook) {
		w.ObjectSelector, w.NamespaceSelector = nil, a.ownLabel()
		w.Rules = a.rules(a.Version, a.resource+"/scale")
	})
	a.heard(t, h)

	scale, err := a.objects.Get(t.Context(), o.GetName(), metav1.GetOptions{}, "scale")
	must(t, err)
	set(scale, "spec.replicas", int64(5))

	_, err = a.scaled(t, scale)
	refused(t, "scale", err, "Sunday")

	asked := h.take()
	if len(asked) != 1 || asked[0].SubResource != "scale" || asked[0].Kind.Kind != "Scale" || asked[0].Kind.Group != "autoscaling" {
		t.Fatalf("asked %v", asked)
	}

	is, was := told(t, asked[0].Object.Raw), told(t, asked[0].OldObject.Raw)
	if at(is, "spec.replicas") != "5" || at(was, "spec.replicas") != "3" || is.GetKind() != "Scale" {
		t.Errorf("asked with %v %v", is, was)
	}

	if now := at(a.reload(t, o), "spec.replicas"); now != "3" {
		t.Errorf("there are %s replicas", now)
	}
}

// testWebhookOtherVersion has a webhook that knows the kind in one version, and a client that writes another.
func testWebhookOtherVersion(t *testing.T, a api) {
	h := listen(t, allow)
	a.validating(t, h, func(w *admissionregistrationv1.ValidatingWebhook) { w.Rules = a.rules(a.other) })
	a.heard(t, h)
	a.create(t, a.with("one", a.text.one))

	asked := h.take()
	if len(asked) != 1 {
		t.Fatalf("asked %v", asked)
	}

	is := told(t, asked[0].Object.Raw)
	if asked[0].Kind.Version != a.other || asked[0].RequestKind.Version != a.Version || is.GroupVersionKind().Version != a.other || at(is, a.text.path) != a.text.one {
		t.Errorf("asked about %v, requested %v: %v", asked[0].Kind, asked[0].RequestKind, is.Object)
	}
}
