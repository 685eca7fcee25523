package bootstrap_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// testTokens asks kubectl for tokens and uses them.
func testTokens(t *testing.T, h house) {
	accounts, secrets := h.admin.CoreV1().ServiceAccounts("default"), h.admin.CoreV1().Secrets("default")

	_, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "anchor"}}, metav1.CreateOptions{})
	must(t, err)

	create := func(flags ...string) string {
		t.Helper()

		return h.kubectl(t, append([]string{"create", "token", "robot"}, flags...)...)
	}
	boundFlags := []string{"--bound-object-kind=Secret", "--bound-object-name=anchor"}

	plain, bound, foreign := create("--duration=20m"), create(boundFlags...), create("--audience=elsewhere")
	// The API server remembers for ten seconds that a token was good: what must be refused later is not used before.
	laterPlain, laterBound := create(), create(boundFlags...)

	if life := lifetime(t, plain); life != 20*time.Minute {
		t.Errorf("the token lives %s, want 20m", life)
	}

	for _, token := range []string{plain, bound} {
		must(t, h.ask(t, token))
	}

	if err := h.ask(t, foreign); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token for another audience: %v, want 401", err)
	}

	if err := h.ask(t, plain[:len(plain)-4]+"AAAA"); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token with another signature: %v, want 401", err)
	}

	review, err := h.admin.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: plain}}, metav1.CreateOptions{})
	must(t, err)

	if !review.Status.Authenticated || review.Status.User.Username != "system:serviceaccount:default:robot" {
		t.Errorf("review: %+v", review.Status)
	}

	must(t, secrets.Delete(t.Context(), "anchor", metav1.DeleteOptions{}))
	h.refused(t, laterBound)
	must(t, h.ask(t, create())) // the account is there
	must(t, accounts.Delete(t.Context(), "robot", metav1.DeleteOptions{}))
	h.refused(t, laterPlain)
}

// ask asks who the token's user is.
func (h house) ask(t *testing.T, token string) error {
	t.Helper()

	config := rest.AnonymousClientConfig(h.Admin)
	config.BearerToken = token

	_, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(
		t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})

	return err
}

// refused waits until a token is refused: the API server learns of a deletion a moment later.
func (h house) refused(t *testing.T, token string) {
	t.Helper()

	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, happensWithin, true, func(context.Context) (bool, error) {
		return apierrors.IsUnauthorized(h.ask(t, token)), nil
	})
	if err != nil {
		t.Errorf("the token outlives what it is bound to: %v", err)
	}
}

// lifetime reads the claims of a token (RFC 7519, section 4.1).
func lifetime(t *testing.T, token string) time.Duration {
	t.Helper()

	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}

	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)

	var claims struct{ Exp, Iat int64 }
	must(t, json.Unmarshal(payload, &claims))

	return time.Duration(claims.Exp-claims.Iat) * time.Second
}

// kubectl runs the real kubectl as the administrator.
func (h house) kubectl(t *testing.T, args ...string) string {
	t.Helper()

	return strings.TrimSpace(h.Plane.Kubectl(t).Do(t, args...))
}

// testFairness sees that requests are sorted into flows: the API server tells by a header into which one.
func testFairness(t *testing.T, h house) {
	_, err := h.admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "busy"}}, metav1.CreateOptions{})
	must(t, err)

	robot := rest.AnonymousClientConfig(h.Admin)
	robot.BearerToken = h.kubectl(t, "create", "token", "busy")

	for name, c := range map[string]struct {
		config *rest.Config
		schema string
	}{
		"the administrator": {h.Admin, "exempt"},
		"a service account": {robot, "service-accounts"},
	} {
		schema, err := h.admin.FlowcontrolV1().FlowSchemas().Get(t.Context(), c.schema, metav1.GetOptions{})
		must(t, err)

		transport, err := rest.TransportFor(c.config)
		must(t, err)

		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.config.Host+"/api/v1/namespaces", nil)
		must(t, err)

		response, err := transport.RoundTrip(request)
		must(t, err)
		response.Body.Close()

		if got := response.Header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID); got != string(schema.UID) {
			t.Errorf("%s is in flow %q, want %s (%s)", name, got, c.schema, schema.UID)
		}
	}

	levels, err := h.admin.FlowcontrolV1().PriorityLevelConfigurations().List(t.Context(), metav1.ListOptions{})
	must(t, err)

	limited := 0

	for _, level := range levels.Items {
		if level.Spec.Type == flowcontrolv1.PriorityLevelEnablementLimited {
			limited++
		}
	}

	if limited == 0 {
		t.Error("no priority level limits anything")
	}
}
