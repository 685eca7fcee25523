package conformance_test

import (
	"context"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func tokens() []row {
	return []row{
		{name: "tokens/of an account", test: testToken},
		{name: "tokens/bound to an object", test: testBoundToken},
		{name: "tokens/reviews", test: testTokenReview},
	}
}

// account makes a service account that may list the subject.
func (a api) account(t *testing.T) *corev1.ServiceAccount {
	t.Helper()

	account, err := a.kube.CoreV1().ServiceAccounts(a.namespace).Create(t.Context(), &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "robot", Namespace: a.namespace},
	}, metav1.CreateOptions{})
	must(t, err)
	a.grant(t, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account.Name, Namespace: a.namespace}, a.rule("list"))

	return account
}

func (a api) token(t *testing.T, spec authenticationv1.TokenRequestSpec) string {
	t.Helper()

	request, err := a.kube.CoreV1().ServiceAccounts(a.namespace).CreateToken(t.Context(), "robot", &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	must(t, err)

	if d := time.Until(request.Status.ExpirationTimestamp.Time); d < 9*time.Minute || d > 61*time.Minute {
		t.Errorf("the token ends in %s", d)
	}

	return request.Status.Token
}

// bearer is the client configuration of a token's owner.
func (a api) bearer(token string) *rest.Config {
	config := rest.AnonymousClientConfig(a.Admin)
	config.BearerToken, config.QPS = token, -1

	return config
}

func testToken(t *testing.T, a api) {
	account := a.account(t)
	robot := a.bearer(a.token(t, authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(600))}))

	_, err := a.as(robot).List(t.Context(), metav1.ListOptions{})
	must(t, err)

	_, err = a.as(robot).Create(t.Context(), a.object("one"), metav1.CreateOptions{})
	refused(t, "create by the account", err, metav1.StatusReasonForbidden, "system:serviceaccount:"+a.namespace+":robot")

	who, err := kubernetes.NewForConfigOrDie(robot).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	must(t, err)

	if u := who.Status.UserInfo; u.UID != string(account.UID) || !strings.Contains(strings.Join(u.Groups, " "), "system:serviceaccounts:"+a.namespace) {
		t.Errorf("the token is of %v", u)
	}

	for name, token := range map[string]string{"another audience": a.token(t, authenticationv1.TokenRequestSpec{Audiences: []string{"other"}}), "nonsense": "a.b.c"} {
		_, err = a.as(a.bearer(token)).List(t.Context(), metav1.ListOptions{})
		refused(t, "list with a token for "+name, err, metav1.StatusReasonUnauthorized)
	}
}

// testBoundToken has a token that is good as long as a Secret is there.
func testBoundToken(t *testing.T, a api) {
	a.account(t)

	secret, err := a.kube.CoreV1().Secrets(a.namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bound"}}, metav1.CreateOptions{})
	must(t, err)

	token := a.token(t, authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{
		Kind: "Secret", APIVersion: "v1", Name: secret.Name, UID: secret.UID,
	}})

	_, err = a.as(a.bearer(token)).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	must(t, a.kube.CoreV1().Secrets(a.namespace).Delete(t.Context(), secret.Name, metav1.DeleteOptions{}))

	eventually(t, "refuse the token", func(ctx context.Context) (bool, error) { // it is remembered for ten seconds
		_, err := a.as(a.bearer(token)).List(ctx, metav1.ListOptions{})

		return apierrors.IsUnauthorized(err), nil
	})
}

func testTokenReview(t *testing.T, a api) {
	a.account(t)

	review := func(token string, audiences ...string) authenticationv1.TokenReviewStatus {
		answer, err := a.kube.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
			Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: audiences},
		}, metav1.CreateOptions{})
		must(t, err)

		return answer.Status
	}

	token := a.token(t, authenticationv1.TokenRequestSpec{})
	if status := review(token); !status.Authenticated || status.User.Username != "system:serviceaccount:"+a.namespace+":robot" || status.Error != "" {
		t.Errorf("a token: %v", status)
	}

	token = a.token(t, authenticationv1.TokenRequestSpec{Audiences: []string{"other"}})
	if status := review(token); status.Authenticated {
		t.Errorf("a token for others: %v", status)
	}

	if status := review("a.b.c"); status.Authenticated {
		t.Errorf("nonsense: %v", status)
	}

	robot := kubernetes.NewForConfigOrDie(a.bearer(a.token(t, authenticationv1.TokenRequestSpec{})))
	_, err := robot.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{}, metav1.CreateOptions{})
	refused(t, "a review by the account", err, metav1.StatusReasonForbidden, "tokenreviews")
}
