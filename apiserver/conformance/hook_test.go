package conformance_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// hook is a webhook that answers as it is told, and remembers what it was asked.
type hook struct {
	*httptest.Server

	mu    sync.Mutex
	asked []*admissionv1.AdmissionRequest
}

// answer makes of a request a webhook's answer.
type answer func(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse

func allow(*admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Allowed: true}
}

func listen(t *testing.T, says answer) *hook {
	t.Helper()

	h := &hook{}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &admissionv1.AdmissionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil || review.Request == nil {
			http.Error(w, "no review", http.StatusBadRequest)

			return
		}

		h.mu.Lock()
		h.asked = append(h.asked, review.Request)
		h.mu.Unlock()

		review.Response = says(review.Request)
		review.Response.UID = review.Request.UID
		review.Request = nil

		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(h.Close)

	return h
}

// take returns what was asked since it was last called, but for dry runs.
func (h *hook) take() []*admissionv1.AdmissionRequest {
	h.mu.Lock()
	defer h.mu.Unlock()

	var asked []*admissionv1.AdmissionRequest

	for _, request := range h.asked {
		if request.DryRun == nil || !*request.DryRun {
			asked = append(asked, request)
		}
	}

	h.asked = nil

	return asked
}

func (h *hook) client() admissionregistrationv1.WebhookClientConfig {
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})

	return admissionregistrationv1.WebhookClientConfig{URL: new(h.URL + "/hook"), CABundle: bundle}
}

// rules are for writes of the case's objects, or of a subresource.
func (a api) rules(version string, resource ...string) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{a.Group}, APIVersions: []string{version}, Resources: append([]string{a.resource}, resource...),
		},
	}}
}

func (a api) ownLabel() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{caseLabel: a.id}}
}

// validating has a webhook asked about the case's objects.
func (a api) validating(t *testing.T, h *hook, change ...func(*admissionregistrationv1.ValidatingWebhook)) {
	t.Helper()

	w := admissionregistrationv1.ValidatingWebhook{
		Name: "hook.example.com", ClientConfig: h.client(), Rules: a.rules(a.Version), ObjectSelector: a.ownLabel(),
		SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	}
	for _, c := range change {
		c(&w)
	}

	_, err := a.kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: a.id + ".example.com"}, Webhooks: []admissionregistrationv1.ValidatingWebhook{w},
	}, metav1.CreateOptions{})
	must(t, err)
}

// heard tries writes until the webhook is asked: the API server learns of it a little later.
func (a api) heard(t *testing.T, h *hook) {
	t.Helper()

	eventually(t, "ask the webhook", func(ctx context.Context) (bool, error) {
		_, _ = a.objects.Create(ctx, a.object("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}) // refused or not

		h.mu.Lock()
		defer h.mu.Unlock()

		return len(h.asked) > 0, nil
	})
	h.take()
}

// told is an object in a request.
func told(t *testing.T, raw []byte) *unstructured.Unstructured {
	t.Helper()

	o := &unstructured.Unstructured{}
	if raw != nil {
		must(t, o.UnmarshalJSON(raw))
	}

	return o
}
